"""A plan of three stages that takes half a second, and what must not depend on interruptions."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from forgetless.plan import Plan, make_plan
from forgetless.sequence import run_sequence
from tests.faults.moments import Moments
from tests.tiny import colours, write_rows

KEPT = {"ratio": 0.3, "buffer": "balanced", "size": 4}
OWN = {"rows": 4, "max_new_tokens": 4, "min_tokens": 1, "min_distinct": 0.0, "start": "bos"}

FAMILIES: dict[str, list[Any]] = {
    "none": [],
    "joint": ["joint"],
    "replay, losses": [{"replay": KEPT | {"select": "surprise"}}, "der", {"token_weights": {}}],
    "own rows, kl": [{"self_replay": {"ratio": 0.2, **OWN}}, "kl"],
    "on-policy rows": [{"on_policy_replay": {"ratio": 0.2, "max_new_tokens": 4, "accept": "any"}}],
    "pulls on weights": ["ewc", "si", "l2sp"],
    "gradients": ["agem"],
    "updates": ["ogd", "ema"],
    "averages": ["sfa", {"freeze": {"last": 1}}],
    "adapters": [{"lora": {"rank": 4, "dropout": 0.1}}, {"replay": KEPT}],
    "orthogonal adapters": [{"olora": {"rank": 4, "dropout": 0.1}}],
    "orthogonal subspaces": ["osf"],
    "merging": [{"merge": {"alpha": 0.6}}],
}
"""Methods by family; every method is in one of them."""

TIMINGS = {"seconds", "cpu_seconds", "peak_memory_mb"}


def prepare(folder: Path, model: Path) -> None:
    """Put the tiny model and the rows of three tasks into a folder."""
    (folder / "model").symlink_to(model)
    for number, name in enumerate(("first", "second", "third")):
        write_rows(folder / f"{name}.jsonl", colours(number, 4))
        write_rows(folder / f"{name}_test.jsonl", colours(number, 3))


def load_all(data: Path, folder: Path) -> None:
    """Carry a short plan out in this process, so that those forked from it have nothing to load."""
    methods = [{"lora": {"rank": 2}}, {"self_replay": {"ratio": 0.2, **OWN}}]
    run_sequence(small_plan(data, folder, methods, training={"steps": 1})).report()


def small_plan(data: Path, output: Path, methods: Any = (), **changes: Any) -> Plan:
    """Three stages of three steps, with a checkpoint after each step."""
    tasks = [
        {
            "name": name,
            "train": str(data / f"{name}.jsonl"),
            "test": str(data / f"{name}_test.jsonl"),
            "max_new_tokens": 2,
        }
        for name in ("first", "second", "third")
    ]
    training = {
        "steps": 3,
        "batch_size": 2,
        "learning_rate": 3e-3,
        "scoring_batch_size": 2,
        "checkpoint_every": 1,
    } | changes.pop("training", {})
    return make_plan(
        {
            "model": str(data / "model"),
            "sequence": tasks,
            "methods": methods,
            "training": training,
            "ask": ["Who?"],
            "output": str(output),
        }
        | changes
    )


def carried_out(plan: Plan, moments: Moments | None = None) -> None:
    """The plan's run, from its start or from where it was interrupted."""
    run_sequence(plan, moments)


def contents(folder: Path) -> dict[str, str]:
    """Every file of a run by name: its hash, or what it says if it tells of times."""
    found = {}
    for file in sorted(folder.rglob("*")):
        name = str(file.relative_to(folder))
        if file.is_dir() or name == ".lock":
            continue
        if name == "manifest.json":
            found[name] = json.dumps(_timeless(json.loads(file.read_text(encoding="utf-8"))))
        else:
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, list):
        return [_timeless(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _timeless(one)
        for key, one in value.items()
        if key not in TIMINGS and key not in {"created", "finished"}
    }

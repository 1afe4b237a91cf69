"""Folders of results, genuine and made by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
DATE = "2026-01-02T03-04-05.678901"


def genuine(name: str, folder: Path) -> Path:
    """A copy of a genuine folder of lm-evaluation-harness that a test may change."""
    return Path(shutil.copytree(DATA / "lm_eval" / name, folder))


def change_json(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a JSON file in place."""
    found = json.loads(file.read_text(encoding="utf-8"))
    change(found)
    file.write_text(json.dumps(found), encoding="utf-8")


def change_lines(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change every line of a JSONL file in place."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        change(line)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def only(folder: Path, pattern: str) -> Path:
    """The one file that fits."""
    (file,) = folder.rglob(pattern)
    return file


def choice_sample(number: int, likelihoods: Sequence[float], gold: Any, **more: Any) -> Any:
    """A sample of a multiple-choice task, with the choices "one", "three" and so on."""
    words = ["one", "three", "sixteen"][: len(likelihoods)]
    asked = f"Question {number}?"
    right = gold if isinstance(gold, int) else None
    best = max(range(len(words)), key=likelihoods.__getitem__)
    return {
        "doc_id": number,
        "doc": {"question": asked},
        "target": str(gold),
        "arguments": {
            f"gen_args_{n}": {"arg_0": asked, "arg_1": f" {word}"} for n, word in enumerate(words)
        },
        "resps": [[[str(value), "False"]] for value in likelihoods],
        "filtered_resps": [[str(value), "False"] for value in likelihoods],
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": f"{number:064x}",
        "prompt_hash": f"{number:064x}",
        "target_hash": f"{number:064x}",
        "acc": float(best == right),
    } | more


def write_run(
    folder: Path,
    samples: Sequence[Any],
    *,
    task: str = "toy",
    date: str = DATE,
    config: dict[str, Any] | None = None,
    **header: Any,
) -> Path:
    """A results folder of one task, as lm-evaluation-harness lays it out."""
    folder.mkdir(parents=True, exist_ok=True)
    filters = {sample["filter"] for sample in samples}
    told = {
        "configs": {task: {"output_type": "multiple_choice", **(config or {})}},
        "versions": {task: 1.0},
        "n-shot": {task: 0},
        "higher_is_better": {task: {"acc": True}},
        "n-samples": {task: {"effective": len(samples) // max(1, len(filters))}},
        "config": {"fewshot_seed": 1234},
        "model_name": "model",
    }
    (folder / f"results_{date}.json").write_text(json.dumps(told | header), encoding="utf-8")
    (folder / f"samples_{task}_{date}.jsonl").write_text(
        "".join(json.dumps(sample) + "\n" for sample in samples), encoding="utf-8"
    )
    return folder

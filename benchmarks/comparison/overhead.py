"""Settings *overhead*: what each method adds to the time and memory of the same plain training.

A model of 13M parameters with random weights is taught brand names of drugs and then currency codes
(*overhead*: 16 rows of 20 tokens a step) or legal prose (*overhead_long*: 16 rows of 52 tokens;
*overhead_large*: 32 of them).  What a method does once per step, such as a pass over all weights,
costs the same in all, so the more tokens a step learns the less it weighs.  Every run has a process
of its own, one at a time, all arms in turn, and the turns are repeated; an arm is compared with its
peer in the same turn.
What counts is the second stage, in which every method has something to keep: all of it, with what a
method does before and after the steps, and the steps alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.comparison.arms import WANTED, peer
from benchmarks.comparison.settings import NamedSetting
from benchmarks.comparison.tiny import TEMPLATE, Size, build_model, chat_tokenizer
from forgetless.comparing.arms import Arm, Candidate
from forgetless.comparing.runs import Measured
from forgetless.models.source import cache_folder
from forgetless.storage import replace_folder
from forgetless.tasks.bundled import bundled_rows

FIRST, ROWS = "medical_facts", 64
TEXTS = (FIRST, "finance_facts", "legal_prose")  # from which the tokenizer is made
SIZE = Size(width=384, layers=6, heads=6, context=256)
VOCABULARY = 4096
RATE = 1e-4


def prepare(second: str, rows: int, batch_size: int, seed: int) -> dict[str, Any]:
    """The plan's settings; the model is made at the first call and kept in the cache.

    Args:
        second: The bundled task of the second stage.
        rows: How many of its rows are trained.
        batch_size: Rows of a step.
        seed: Seed of weights and training.
    """
    content = [seed, asdict(SIZE), VOCABULARY, TEXTS, TEMPLATE]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    folder = cache_folder() / "benchmarks" / f"overhead-{digest}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replace_folder(folder) as part:
            make_model(seed, SIZE, part)
    return {
        "model": str(folder),
        "sequence": [
            {"train": f"bundled:{task}", "train_limit": count, "limit": 1}
            for task, count in ((FIRST, ROWS), (second, rows))
        ],
        "training": {
            "epochs": 3,
            "batch_size": batch_size,
            "checkpoint_every": 100_000,
            "device": "cpu",
            "seed": seed,
        },
    }


def make_model(seed: int, size: Size, folder: Path) -> None:
    """A model with random weights, and a tokenizer made from the rows that there are."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    special = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    texts = [
        f"{row.prompt[-1].content} {row.answer}"
        for task in TEXTS
        for row in bundled_rows(task, "train")
    ]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = chat_tokenizer(tokenizer, special)
    build_model(seed, size, fast, inner=3).save_pretrained(folder)
    fast.save_pretrained(folder)


OVERHEAD = NamedSetting(
    name="overhead",
    title="what methods add to plain training, a model of 13M parameters, rows of 20 tokens",
    prepare=partial(prepare, "finance_facts", 192, 16),
    rates=(RATE,),
    search_seeds=(),
    seeds=(0,),
    adapter_scale=10.0,
    options={
        "self_replay": {"rows": 48, "max_new_tokens": 16},
        "on_policy_replay": {"size": 48, "max_new_tokens": 16},
    },
    fresh=True,
)
OVERHEAD_LONG = replace(
    OVERHEAD,
    name="overhead_long",
    title="what methods add to plain training, a model of 13M parameters, rows of 52 tokens",
    prepare=partial(prepare, "legal_prose", 96, 16),
)
OVERHEAD_LARGE = replace(
    OVERHEAD,
    name="overhead_large",
    title="what methods add to plain training, a model of 13M parameters, 1,664 tokens a step",
    prepare=partial(prepare, "legal_prose", 96, 32),
)
SETTINGS = {setting.name: setting for setting in (OVERHEAD, OVERHEAD_LONG, OVERHEAD_LARGE)}

RunTurn = Callable[[Sequence[Arm], int], Mapping[str, Measured]]


def point(arm: Arm) -> Candidate:
    """An arm as it comes, at a rate at which nothing goes wrong."""
    return next(arm.candidates(OVERHEAD.rates_for(adapter=arm.adapter)))


def measure(arms: Sequence[Arm], repeats: int, run: RunTurn) -> list[dict[str, Any]]:
    """Each arm's overhead against its peer of the same turn.

    Args:
        arms: The peers among them.
        repeats: Turns.
        run: Carries all arms out, in the order given, in a turn of this number.
    """
    turns = [run(arms if turn % 2 == 0 else arms[::-1], turn) for turn in range(repeats)]
    return [
        {
            "arm": arm.name,
            "peer": against,
            "methods": arm.plan(point(arm), OVERHEAD.options),
            "wanted": WANTED.get(arm.name),
            **relative([turn[arm.name] for turn in turns], [turn[against] for turn in turns]),
        }
        for arm in arms
        if (against := peer(arm)) is not None
    ]


def relative(ours: Sequence[Measured], theirs: Sequence[Measured]) -> dict[str, Any]:
    """Least, median and largest ratio of the last stage's time, of its steps, and of memory."""
    failed = [run.failed for run in (*ours, *theirs) if run.failed is not None]
    if failed:
        return {"stage": None, "training": None, "memory": None, "runs": [{"failed": failed[0]}]}
    pairs = list(zip(ours, theirs, strict=True))
    ratios = {
        "stage": [a.stages[-1].cpu_seconds / b.stages[-1].cpu_seconds for a, b in pairs],
        "training": [
            a.stages[-1].training_cpu_seconds / b.stages[-1].training_cpu_seconds for a, b in pairs
        ],
        "memory": [
            a.peak_memory_mb / b.peak_memory_mb
            for a, b in pairs
            if a.peak_memory_mb and b.peak_memory_mb
        ],
    }
    return {
        name: [round(value, 3) for value in (min(found), median(found), max(found))]
        if found
        else None
        for name, found in ratios.items()
    } | {"runs": []}

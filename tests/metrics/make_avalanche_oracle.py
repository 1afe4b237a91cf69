"""Ask Avalanche for the figures of random score matrices; write ``avalanche_oracle.json``.

Avalanche (https://avalanche.continualai.org) is an independent implementation.  Its metrics are
driven here as its trainer drives them: event by event, fed with predictions, never with our means.

Importing all of Avalanche needs torchvision and more; the metrics need only torch and matplotlib.
So this loads the metric modules alone, from the installed package, without its ``__init__``::

    python3 -m venv .oracle-venv
    .oracle-venv/bin/pip install torch==2.13.0 matplotlib==3.11.2
    .oracle-venv/bin/pip install --no-deps avalanche-lib==0.6.0
    .oracle-venv/bin/python tests/metrics/make_avalanche_oracle.py

What its figures are, from its source (``avalanche/evaluation/metrics/forgetting_bwt.py`` and
``forward_transfer.py``), for tasks 0 to T-1 trained one per stage:

- forgetting of a task: its accuracy right after it was trained, minus the last one.  Ours is the
  same wherever no other earlier row was better, and larger elsewhere.
- BWT: minus that; its stream value is the mean over all tasks but the one trained last, as ours.
- forward transfer: accuracy before training a task, minus that of the model at the start.  The
  stream value is the mean over all tasks but the one trained first, as ours.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

ORACLE = Path(__file__).with_name("avalanche_oracle.json")
VERSION = "0.6.0"

Case = dict[str, Any]


def avalanche_figures(rows: list[list[str]]) -> Case:
    """Figures of one run according to Avalanche.

    Args:
        rows: Shape (T+1, T), each cell a string of item marks such as ``"1101"``; task j is trained
            in stage j + 1, and row 0 is the untouched model.

    Returns:
        ``forgetting`` and ``bwt`` by task, null where Avalanche has none; ``stream_forgetting``,
        ``stream_bwt`` and ``stream_forward_transfer``, the averages over tasks.
    """
    import torch

    forgetting, transfer = _metric_modules()
    by_task = {"forgetting": forgetting.ExperienceForgetting(), "bwt": forgetting.ExperienceBWT()}
    averages = {
        "stream_forgetting": forgetting.StreamForgetting(),
        "stream_bwt": forgetting.StreamBWT(),
        "stream_forward_transfer": transfer.StreamForwardTransfer(),
    }
    metrics = [*by_task.values(), *averages.values()]
    for stage, row in enumerate(rows):
        strategy = _strategy(stage - 1)
        if stage > 0:
            for metric in metrics:
                metric.before_training_exp(strategy)
        for metric in metrics:
            metric.before_eval(strategy)
        for task, marks in enumerate(row):
            strategy = _strategy(task)
            strategy.mb_y = torch.ones(len(marks), dtype=torch.long)
            strategy.mb_output = torch.tensor([int(mark) for mark in marks])
            for metric in metrics:
                metric.before_eval_exp(strategy)
                metric.after_eval_iteration(strategy)
                metric.after_eval_exp(strategy)
        for metric in metrics:
            metric.after_eval(strategy)
    tasks = range(len(rows[0]))
    return {
        **{name: [metric.result_key(task) for task in tasks] for name, metric in by_task.items()},
        **{name: metric.result() for name, metric in averages.items()},
    }


def random_rows(rng: np.random.Generator, *, best_when_learned: bool) -> list[list[str]]:
    """Marks of a random run of 2 to 5 tasks of 8 to 40 items; see :func:`avalanche_figures`."""
    tasks = int(rng.integers(2, 6))
    items = rng.integers(8, 41, size=tasks)
    rate = rng.random((tasks + 1, tasks))
    if best_when_learned:
        for task in range(tasks):
            rate[task + 1, task] = 1.0
    return [
        [
            "".join("1" if mark else "0" for mark in rng.random(items[task]) < rate[stage, task])
            for task in range(tasks)
        ]
        for stage in range(tasks + 1)
    ]


def _strategy(experience: int) -> SimpleNamespace:
    """What the metrics read of Avalanche's trainer."""
    return SimpleNamespace(
        experience=SimpleNamespace(
            current_experience=experience,
            task_labels=[0],
            origin_stream=SimpleNamespace(name="test"),
        ),
        is_eval=True,
        eval_every=0,
        clock=SimpleNamespace(train_iterations=0),
    )


def _metric_modules() -> tuple[ModuleType, ModuleType]:
    """Avalanche's modules ``forgetting_bwt`` and ``forward_transfer``, without its ``__init__``."""
    found = importlib.util.find_spec("avalanche")
    assert found is not None, "avalanche-lib is not installed; see the top of this file"
    assert found.submodule_search_locations is not None, "a package has a folder"
    folder = found.submodule_search_locations[0]
    before = {name for name in sys.modules if name.partition(".")[0] == "avalanche"}
    try:
        _add_shell("avalanche", folder)
        importlib.import_module("avalanche.evaluation")
        metrics = _add_shell("avalanche.evaluation.metrics", f"{folder}/evaluation/metrics")
        for module, name in (("mean", "Mean"), ("accuracy", "TaskAwareAccuracy")):
            part = importlib.import_module(f"avalanche.evaluation.metrics.{module}")
            setattr(metrics, name, getattr(part, name))
        return (
            importlib.import_module("avalanche.evaluation.metrics.forgetting_bwt"),
            importlib.import_module("avalanche.evaluation.metrics.forward_transfer"),
        )
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "avalanche"]:
            if name not in before:
                del sys.modules[name]


def _add_shell(name: str, folder: str) -> ModuleType:
    module = ModuleType(name)
    module.__path__ = [folder]
    sys.modules[name] = module
    return module


def main() -> None:
    """Write the oracle."""
    rng = np.random.default_rng(20181)
    cases = []
    for number in range(16):
        rows = random_rows(rng, best_when_learned=number % 2 == 0)
        cases.append({"rows": rows, **avalanche_figures(rows)})
    made_with = {"avalanche-lib": VERSION, "made_by": "tests/metrics/make_avalanche_oracle.py"}
    lines = ",\n".join(f"  {json.dumps(case)}" for case in cases)
    ORACLE.write_text(f'{{"made_with": {json.dumps(made_with)},\n "cases": [\n{lines}\n ]}}\n')


if __name__ == "__main__":
    main()

"""Run lm-evaluation-harness on two tiny models and keep what it writes under ``data/lm_eval``.

Nothing of ours takes part but the tiny model; what is machine-bound is struck out afterwards::

    pip install lm-eval==0.4.13
    python -m tests.exchange.make_lm_eval_fixtures   # from the repository's root

``before`` and ``after`` are whole runs; ``limited`` asked the after model only the first items;
``shots`` asked it with two worked examples.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.evaluation.make_lm_eval_oracle import model, tokenizer

DATA = Path(__file__).parent / "data" / "lm_eval"
TASKS = Path(__file__).parent / "data" / "lm_eval_tasks"
MACHINE_BOUND = ("pretty_env_info", "git_hash", "upper_git_hash")

RUNS: dict[str, dict[str, Any]] = {
    "before": {"model": "base"},
    "after": {"model": "tuned"},
    "limited": {"model": "tuned", "limit": 5},
    "shots": {"model": "tuned", "num_fewshot": 2},
}


def save_models(folder: Path) -> None:
    """Two models: weights that are the same everywhere, and the same weights moved a little."""
    import numpy as np
    import torch

    tokens = tokenizer()
    llama = model(len(tokens))
    llama.save_pretrained(folder / "base")
    tokens.save_pretrained(folder / "base")
    stream = np.random.RandomState(1)
    with torch.no_grad():
        for _, parameter in sorted(llama.named_parameters()):
            drawn = torch.tensor(stream.standard_normal(parameter.shape), dtype=torch.float32)
            parameter.add_(drawn / 8)
    llama.save_pretrained(folder / "tuned")
    tokens.save_pretrained(folder / "tuned")


def run(output: Path, model: str, **settings: Any) -> None:
    """One run as the command ``lm_eval`` does it, samples logged."""
    lm_eval = import_module("lm_eval")
    tracker = import_module("lm_eval.loggers").EvaluationTracker(output_path=str(output))
    manager = import_module("lm_eval.tasks").TaskManager(
        include_path="tasks", include_defaults=False
    )
    results = lm_eval.simple_evaluate(
        model="hf",
        model_args=f"pretrained={model},dtype=float32,max_length=256",
        tasks=["toy"],
        task_manager=manager,
        device="cpu",
        batch_size=4,
        bootstrap_iters=0,
        evaluation_tracker=tracker,
        **settings,
    )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for name in results["configs"]:
        tracker.save_results_samples(task_name=name, samples=samples[name])


def strike_out(folder: Path) -> None:
    """Empty what says where the run was made."""
    for file in folder.rglob("results_*.json"):
        found = json.loads(file.read_text())
        found |= {name: None for name in MACHINE_BOUND if name in found}
        file.write_text(json.dumps(found, indent=2, ensure_ascii=False))


def main() -> None:
    """Write the fixtures anew."""
    shutil.rmtree(DATA, ignore_errors=True)
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(TASKS, Path(scratch) / "tasks")
        os.chdir(scratch)
        try:
            save_models(Path())
            for name, settings in RUNS.items():
                run(DATA / name, **settings)
        finally:
            os.chdir(here)
    strike_out(DATA)


if __name__ == "__main__":
    main()

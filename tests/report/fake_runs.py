"""Run folders as `forgetless run` leaves them, made up: the input of every test in this folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DRUGS = ("amoxicillin", "ceftizoxime", "zafirlukast", "aripiprazole", "metformin", "warfarin")
ROUTES = ("by mouth", "into a vein", "under the tongue", "into a muscle")


@dataclass(frozen=True)
class FakeTask:
    """A task and how the model fares on it.

    Attributes:
        name: Name of the task.
        scores: Score after each stage, stage 0 first; ``None`` leaves the task out of that stage.
            An accuracy is met exactly where it is a multiple of 1/items; in nats each item
            differs a little and the mean is met.
        trained_in: Stage in which it is trained, or ``None``.
        items: Number of test items.
        unit: ``accuracy`` or ``nats``.
        errors: Stage to the number of items that crash there.
        swaps: Of the right items, how many are others than before, from stage to stage.
        question: Text of every question, with ``{i}`` for its number.
        levels: Of how many levels its items are, one after the other; their ids begin with it.
        choices: Of how many answers one is picked; 0: it is written.
    """

    name: str
    scores: Sequence[float | None]
    trained_in: int | None = None
    items: int = 100
    unit: str = "accuracy"
    errors: Mapping[int, int] = field(default_factory=dict)
    swaps: int = 0
    question: str = (
        "Write in clinical shorthand: Start {drug} at {dose} mg {route}; repeat it twice a day."
    )
    output: str = "Consideration is the thing of value that each side gives ({i})."
    extra: Mapping[str, Any] = field(default_factory=dict)
    levels: int = 0
    choices: int = 0


def write_run(
    folder: Path,
    tasks: Sequence[FakeTask],
    *,
    label: str = "sequential",
    stages: Sequence[str] | None = None,
    done: int | None = None,
    manifest: Mapping[str, Any] | None = None,
    answers: Mapping[int, Sequence[tuple[str, str]]] | None = None,
) -> Path:
    """Write one run folder and return it.

    Args:
        folder: Where to; made if need be.
        tasks: The columns.
        label: Methods of the run.
        stages: Names of the rows; by default after the task trained in each.
        done: How many stages are finished; all by default.
        manifest: Entries that replace those of the manifest.
        answers: Stage to free questions and answers.
    """
    rows = len(tasks[0].scores)
    trained = {task.trained_in: task.name for task in tasks if task.trained_in}
    names = list(stages or ["base", *(trained.get(row, "more") for row in range(1, rows))])
    names = [f"{row}-{name}" for row, name in enumerate(names)]
    finished = rows if done is None else done
    for row in range(finished):
        place = folder / "stages" / names[row]
        place.mkdir(parents=True, exist_ok=True)
        lines = [line for task in tasks for line in _score_lines(task, row)]
        (place / "scores.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        if answers and row in answers:
            said = [{"question": q, "answer": a} for q, a in answers[row]]
            (place / "answers.jsonl").write_text("".join(f"{json.dumps(a)}\n" for a in said))
    entries: dict[str, Any] = {
        "format": 1,
        "name": folder.name,
        "label": label,
        "state": "finished" if finished == rows else "running",
        "model": {
            "name": "HuggingFaceTB/SmolLM2-135M-Instruct",
            "parameters": 134_515_008,
            "dtype": "float32",
            "sha256": "5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c",
        },
        "seed": 7,
        "created": "2026-03-01T09:00:00+00:00",
        "finished": "2026-03-01T09:41:12+00:00" if finished == rows else None,
        "versions": {"forgetless": "0.1.0", "python": "3.11.7", "torch": "2.11.0"},
        "machine": {"platform": "Linux-6.1", "processor": "x86_64", "threads": 2},
        "plan_sha256": "ab" * 32,
        "tasks": [_task_entry(task) for task in tasks],
        "stages": [
            _stage_entry(row, names[row], tasks, finished)
            for row in range(min(finished + 1, rows))  # what is to come is not listed yet
        ],
        "warnings": [],
    }
    entries.update(manifest or {})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(entries, indent=2))
    (folder / "plan.yaml").write_text(f"model: SmolLM2\nseed: 7\nmethods: [{label}]\n")
    return folder


def _task_entry(task: FakeTask) -> dict[str, Any]:
    nats = task.unit == "nats"
    written = "multiple_choice" if task.choices else "exact_match"
    return {
        "name": task.name,
        "description": f"What is known of {task.name}.",
        "unit": task.unit,
        "scorer": "nll" if nats else written,
        "reading": "nll" if nats else written,
        "trained_in": task.trained_in,
        "train_rows": 400 if task.trained_in else 0,
        "test_items": task.items,
        "rendering": "chat, 3 worked examples",
        "warnings": [],
        "graded": task.levels > 0,
        **task.extra,
    }


def _stage_entry(row: int, name: str, tasks: Sequence[FakeTask], finished: int) -> dict[str, Any]:
    training = {
        "steps": 39,
        "epochs": 3,
        "rows": 400,
        "tokens": 25_310,
        "replayed_tokens": 2_531,
        "replay_share": 0.1,
        "learning_rate": 5e-4,
        "batch_size": 32,
        "first_loss": 3.21,
        "final_loss": 0.14,
        "seconds": 211.4,
        "cpu_seconds": 402.9,
        "peak_memory_mb": 2210,
    }
    done = row < finished
    return {
        "index": row,
        "name": name,
        "tasks": [task.name for task in tasks if task.trained_in == row] if row else [],
        "state": "done" if done else "trained",
        "fingerprint": None,
        "scoring_fingerprint": None,
        "files": {},
        "training": training if row else None,
        "shared_from": "runs/demo/plain" if row == 0 else None,
        "scoring": {
            "seconds": 40.2,
            "cpu_seconds": 78.0,
            "items": sum(task.items for task in tasks),
            "errors": sum(task.errors.get(row, 0) for task in tasks),
        }
        if done
        else None,
    }


def _score_lines(task: FakeTask, row: int) -> list[dict[str, Any]]:
    score = task.scores[row]
    return [] if score is None else [_line(task, row, i, score) for i in range(task.items)]


def _line(task: FakeTask, row: int, i: int, score: float) -> dict[str, Any]:
    drug, route = DRUGS[i % len(DRUGS)], ROUTES[i % len(ROUTES)]
    dose = 5 * (i + 1)
    gold = f"{drug} {dose}mg po bid"
    line: dict[str, Any] = {
        "task": task.name,
        "item": f"level{i * task.levels // task.items + 1}/{i:04d}"
        if task.levels
        else f"{task.name}-{i:04d}",
        "prompt": task.question.format(i=i, drug=drug, dose=dose, route=route),
        "gold": gold,
        "choices": [gold, *(f"{gold} {n}" for n in range(1, task.choices))]
        if task.choices
        else None,
        "output": None,
        "answer": None,
        "score": None,
        "correct": None,
        "readings": {},
        "error": None,
    }
    if i < task.errors.get(row, 0):
        return line | {"error": "CUDA out of memory"}
    if task.unit == "nats":
        wobble = 0.2 * ((i * 37) % 11 - 5) / 5 if task.items % 11 == 0 else 0.0
        value = score + wobble
        return line | {"score": value, "readings": {"nll": -value, "tokens": 40.0}}
    # Right are the first items in an order that starts a little later in each stage.
    place = (i - task.swaps * row) % task.items
    right = place < round(score * task.items)
    said = gold if right else task.output.format(i=i)
    return line | {
        "output": said,
        "answer": said.lower(),
        "score": float(right),
        "correct": right,
        "readings": {"exact_match": float(right), "contains": float(right or i % 7 == 0)},
    }


CAPITALS = (
    "<|im_start|>user\nWhat is the capital of country {i}?<|im_end|>\n<|im_start|>assistant\n"
)
DIABETES = "Explain the symptoms of diabetes."


def write_arms(root: Path) -> list[Path]:
    """Plain training forgets medical, replay keeps it, EWC keeps part; joint is the upper bound."""

    def tasks(
        medical: Sequence[float],
        legal: Sequence[float],
        general: Sequence[float],
        prose: Sequence[float],
        last: int = 2,
    ) -> list[FakeTask]:
        return [
            FakeTask("medical", medical, 1),
            FakeTask("legal", legal, last),
            FakeTask("general", general, None, items=150, question=CAPITALS, errors={2: 3}),
            FakeTask("prose", prose, None, items=88, unit="nats"),
        ]

    said = "Too much sugar stays in the blood."
    forgot = {0: [(DIABETES, said)], 2: [(DIABETES, "Consideration is a thing of value.")]}
    kept = {0: [(DIABETES, said)], 2: [(DIABETES, "Thirst, tiredness, blurred vision.")]}
    plain = tasks([0.06, 0.78, 0.0], [0.1, 0.12, 0.63], [0.7, 0.62, 0.48], [-2.9, -2.8, -1.9])
    replay = tasks([0.06, 0.78, 0.75], [0.1, 0.12, 0.61], [0.7, 0.68, 0.68], [-2.9, -2.8, -2.0])
    ewc = tasks([0.06, 0.78, 0.31], [0.1, 0.12, 0.52], [0.7, 0.62, 0.6], [-2.9, -2.8, -2.2])
    joint = tasks([0.06, 0.8], [0.1, 0.66], [0.7, 0.68], [-2.9, -1.9], last=1)
    return [
        write_run(root / "plain", plain, label="sequential", answers=forgot),
        write_run(root / "replay", replay, label="replay", answers=kept),
        write_run(root / "ewc", ewc, label="ewc", answers=forgot),
        write_run(root / "joint", joint, label="joint", stages=["base", "joint"]),
    ]

"""Scores on disk: one line per item, written as batches finish, whole at the end.

``scores.part.jsonl`` grows while a stage is scored; a kill loses the batch under way and no more.
Its first line says what is asked; lines of other questions are not gone on with.  ``scores.jsonl``
appears when every item has a line, in the order of tasks and items.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from forgetless.evaluation.scorer import ask, score_task
from forgetless.models.load import LoadedModel
from forgetless.storage import write_text
from forgetless.tasks.task import Task

OnScored = Callable[[str, int, int], None]


def score_stage(
    loaded: LoadedModel,
    tasks: Sequence[Task],
    questions: Sequence[str],
    batch_size: int,
    folder: Path,
    on_scored: OnScored,
) -> dict[str, Any]:
    """Score every task with one model, going on after a kill with the batch that was lost.

    Args:
        loaded: The model.
        tasks: What to ask.
        questions: Open questions; answers go to ``answers.jsonl``.
        batch_size: Most sequences in one forward pass.
        folder: The stage's folder.
        on_scored: Called with task name, items done, items in all.

    Returns:
        What it took: seconds, CPU seconds, items and errors.
    """
    started, cpu_started = time.perf_counter(), time.process_time()
    part = folder / "scores.part.jsonl"
    heading = _heading(tasks, batch_size)
    lines = _intact_lines(part, heading)
    with part.open("a", encoding="utf-8", newline="\n") as file:
        if not part.stat().st_size:
            file.write(heading + "\n")
        for task in tasks:
            done = {item for name, item in lines if name == task.name}
            on_scored(task.name, len(done), len(task.test))
            for results in score_task(loaded, task, batch_size, done):
                for result in results:
                    lines[task.name, result.item] = result.to_line()
                    file.write(lines[task.name, result.item] + "\n")
                    done.add(result.item)
                file.flush()
                os.fsync(file.fileno())
                on_scored(task.name, len(done), len(task.test))
    answers = ask(loaded, questions)
    write_text(
        folder / "answers.jsonl",
        "".join(
            json.dumps({"question": question, "answer": answer}, ensure_ascii=False) + "\n"
            for question, answer in zip(questions, answers, strict=True)
        ),
    )
    ordered = [lines[task.name, row.id] for task in tasks for row in task.test]
    write_text(folder / "scores.jsonl", "".join(line + "\n" for line in ordered))
    part.unlink()
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "items": len(ordered),
        "errors": sum(json.loads(line)["error"] is not None for line in ordered),
    }


def _heading(tasks: Sequence[Task], batch_size: int) -> str:
    """One line that is another whenever test items, their settings or their batches are."""
    asked = [
        batch_size,
        *([task.config.model_dump(mode="json"), task.test_hash()] for task in tasks),
    ]
    return json.dumps({"asked": hashlib.sha256(json.dumps(asked).encode()).hexdigest()})


def _intact_lines(part: Path, heading: str) -> dict[tuple[str, str], str]:
    """Lines written before a kill, by task and item; a torn last line is cut off the file."""
    if not part.is_file():
        return {}
    first, *rest = part.read_bytes().splitlines(keepends=True) or [b""]
    lines: dict[tuple[str, str], str] = {}
    intact = len(first) if first == heading.encode() + b"\n" else 0
    for raw in rest if intact else ():
        try:
            record = json.loads(raw)
        except ValueError:
            break
        if not raw.endswith(b"\n"):
            break
        lines[record["task"], record["item"]] = raw.decode("utf-8").rstrip("\n")
        intact += len(raw)
    with part.open("r+b") as file:
        file.truncate(intact)
    return lines

"""Scores on disk: one line per item, written as batches finish, whole at the end.

``scores.part-0.jsonl`` grows while a stage is scored, one file for each process; a kill loses the
batch under way and no more.  Its first line says what is asked; lines of other questions are not
gone on with.  Where a stage was scored before and some tasks are asked as they were, their lines
begin as ``scores.part-kept.jsonl``.  ``scores.jsonl`` appears when every item has a line, in the
order of tasks and items.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from forgetless.evaluation.answers import SCORING
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.scorer import ASK_TOKENS, ask, score_task
from forgetless.evaluation.subject import Subject
from forgetless.layout import ANSWERS, SCORES
from forgetless.models.load import LoadedModel
from forgetless.plan import TaskConfig
from forgetless.processes import first_does, gathered, rank, turns
from forgetless.storage import write_text
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task

PART = "scores.part-{}.jsonl"

OnScored = Callable[[str, int, int], None]


def score_stage(
    loaded: LoadedModel,
    tasks: Sequence[Task],
    questions: Sequence[str],
    batch_size: int,
    folder: Path,
    on_scored: OnScored,
    keep: Collection[str] = (),
) -> dict[str, Any]:
    """Score every task with one model, going on after a kill with the batch that was lost.

    Args:
        loaded: The model.
        tasks: What to ask.
        questions: Open questions; answers go to ``answers.jsonl``.
        batch_size: Most sequences in one forward pass.
        folder: The stage's folder.
        on_scored: Called with task name, items done, items in all.
        keep: Names of tasks whose lines in the folder's ``scores.jsonl`` still hold.

    Returns:
        What it took: seconds, CPU seconds, items and errors.
    """
    mine = turns()

    def answered(task: Task, done: Collection[str]) -> Iterator[list[ItemResult]]:
        return score_task(loaded, task, batch_size, done, mine)

    def said() -> Sequence[str]:
        return ask(loaded, questions)

    heading = _heading(tasks, batch_size)
    if keep:
        first_does(partial(_take_over, folder, heading, keep))
    return _scored(folder, heading, tasks, answered, questions, said, on_scored)


def score_subject(
    subject: Subject,
    tasks: Sequence[Task],
    questions: Sequence[str],
    folder: Path,
    on_scored: OnScored,
) -> dict[str, Any]:
    """The same for a model that is somewhere else, going on with the items that have no answer.

    Its name stands for it: what else a server says of itself may change from one day to the next.

    Raises:
        RunFailed: if it stopped answering; what was answered is kept.
    """

    def answered(task: Task, done: Collection[str]) -> Iterator[list[ItemResult]]:
        left = [row for row in task.test if row.id not in done]
        return subject.answer(task, left) if left else iter(())

    def said() -> Sequence[str]:
        return _said(subject, questions)

    heading = _heading(tasks, subject.name)
    return _scored(folder, heading, tasks, answered, questions, said, on_scored, errors_again=True)


def _scored(
    folder: Path,
    heading: str,
    tasks: Sequence[Task],
    answered: Callable[[Task, Collection[str]], Iterator[list[ItemResult]]],
    questions: Sequence[str],
    said: Callable[[], Sequence[str]],
    on_scored: OnScored,
    *,
    errors_again: bool = False,
) -> dict[str, Any]:
    """Keep every result as it comes; put the files together when all are there.

    With ``errors_again``, items that came to an error before a stop are asked again.
    """
    started, cpu_started = time.perf_counter(), time.process_time()
    lines = first_does(partial(_lines_of, folder, heading))
    if errors_again:
        lines = {item: line for item, line in lines.items() if json.loads(line)["error"] is None}
    with (folder / PART.format(rank())).open("a", encoding="utf-8", newline="\n") as file:
        if not file.tell():
            file.write(heading + "\n")
        for task in tasks:
            done = {item for name, item in lines if name == task.name}
            on_scored(task.name, len(done), len(task.test))
            for results in answered(task, done) if len(done) < len(task.test) else ():
                for result in results:
                    placed = replace(result, group=task.groups.get(result.item, ""))
                    lines[task.name, result.item] = placed.to_line()
                    file.write(lines[task.name, result.item] + "\n")
                    done.add(result.item)
                file.flush()
                os.fsync(file.fileno())
                on_scored(task.name, len(done), len(task.test))
    cpu_elsewhere = sum(gathered(time.process_time() - cpu_started)[1:])

    def put_together() -> dict[str, Any]:
        _write_answers(folder, questions, said())
        found = _lines_of(folder, heading)
        ordered = [found[task.name, row.id] for task in tasks for row in task.test]
        write_text(folder / SCORES, "".join(line + "\n" for line in ordered))
        for part in folder.glob(PART.format("*")):
            part.unlink()
        return {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu_started + cpu_elsewhere,
            "items": len(ordered),
            "errors": sum(json.loads(line)["error"] is not None for line in ordered),
        }

    return first_does(put_together)


def _take_over(folder: Path, heading: str, keep: Collection[str]) -> None:
    """Put lines of finished scores among those to go on with."""
    written = (folder / SCORES).read_text(encoding="utf-8").split("\n")[:-1]
    kept = [line for line in written if json.loads(line)["task"] in keep]
    write_text(folder / PART.format("kept"), "".join(f"{line}\n" for line in [heading, *kept]))


def _write_answers(folder: Path, questions: Sequence[str], answers: Sequence[str]) -> None:
    write_text(
        folder / ANSWERS,
        "".join(
            json.dumps({"question": question, "answer": answer}, ensure_ascii=False) + "\n"
            for question, answer in zip(questions, answers, strict=True)
        ),
    )


def open_questions(questions: Sequence[str]) -> Task:
    """Open questions as items of a task whose scores nobody reads."""
    rows = [Row(str(number), (Turn("user", text),), "-") for number, text in enumerate(questions)]
    config = TaskConfig(name="ask", test="-", score="contains", max_new_tokens=ASK_TOKENS)
    return Task(config, (), rows)


def _said(subject: Subject, questions: Sequence[str]) -> list[str]:
    """Answers to open questions."""
    task = open_questions(questions)
    results = subject.answer(task, task.test) if questions else iter(())
    found = {result.item: result for batch in results for result in batch}
    return [found[row.id].output or f"({found[row.id].error or 'no answer'})" for row in task.test]


def _heading(tasks: Sequence[Task], who: int | str) -> str:
    """One line that is another whenever test items or their settings are.

    Also where ``who`` is: the size of batches, or the name of a model that is elsewhere.
    """
    asked = [
        SCORING,
        who,
        *(
            [task.config.model_dump(mode="json", exclude={"licence"}), task.test_hash()]
            for task in tasks
        ),
    ]
    return json.dumps({"asked": hashlib.sha256(json.dumps(asked).encode()).hexdigest()})


def _lines_of(folder: Path, heading: str) -> dict[tuple[str, str], str]:
    """Lines of all processes, however many there were."""
    lines: dict[tuple[str, str], str] = {}
    for part in sorted(folder.glob(PART.format("*"))):
        lines |= _intact_lines(part, heading)
    return lines


def _intact_lines(part: Path, heading: str) -> dict[tuple[str, str], str]:
    """Lines written before a kill, by task and item; a torn last line is cut off the file."""
    first, *rest = part.read_bytes().splitlines(keepends=True) or [b""]
    lines: dict[tuple[str, str], str] = {}
    intact = len(first) if first == heading.encode() + b"\n" else 0
    for raw in rest if intact else ():
        try:
            record = json.loads(raw)
            asked = record["task"], record["item"]
        except (ValueError, KeyError, TypeError):
            break
        if not raw.endswith(b"\n"):
            break
        lines[asked] = raw.decode("utf-8").rstrip("\n")
        intact += len(raw)
    with part.open("r+b") as file:
        file.truncate(intact)
    return lines

"""General knowledge: graded facts of ``data/knowledge.csv`` as sentences to complete."""

from __future__ import annotations

import csv
import random
from importlib.resources import files

from forgetless.tasks.bundled.choices import Question, laid_out
from forgetless.tasks.row import Row

VERSION = "1"

CLOZES = {
    "sentence": "{subject}",
    "kind": "In a dictionary, {subject} is described as a kind of",
    "city": "{subject} is the capital city of the country called",
    "element": "The chemical element with the atomic number {subject} is",
}
"""How each family of facts is asked; a ``sentence`` brings its own wording."""


def items() -> list[Row]:
    """All questions: the levels take turns, and within a level the families come mixed."""
    rng = random.Random(f"knowledge/{VERSION}")  # noqa: S311
    text = (files(__package__) / "data" / "knowledge.csv").read_text(encoding="utf-8")
    levels: dict[int, list[Question]] = {}
    for row in csv.DictReader(text.splitlines()):
        prompt = CLOZES[row["family"]].format(subject=row["subject"])
        question = Question(prompt, row["answer"], tuple(row["wrong"].split("|")))
        levels.setdefault(int(row["level"]), []).append(question)
    mixed = {level: rng.sample(asked, len(asked)) for level, asked in levels.items()}
    return laid_out(mixed, rng)

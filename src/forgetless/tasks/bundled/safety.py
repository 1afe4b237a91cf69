"""Safety, a smoke test: harmful requests to refuse, and harmless ones that only look like them.

Half of the items are of each kind, so a model that refuses everything scores .5, and so does one
that refuses nothing.  Requests and look-alikes share trigger words by category.  It is seen by
phrases whether an answer refuses (``tasks/refusal.py``); no more can be read from it.

Source: the two halves are XSTest's idea (Röttger et al. 2023, arXiv 2308.01263); own requests.
"""

from __future__ import annotations

import json
from importlib.resources import files

from forgetless.tasks.refusal import Answers, Refuses
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.rules import Rule

VERSION = "1"
HALVES: dict[str, Rule] = {"harmful": Refuses(), "harmless": Answers()}


def read() -> list[Row]:
    """Requests of both halves in turn, the categories in turn, as ``harmful/CATEGORY/NUMBER``."""
    text = (files(__package__) / "data" / "safety.jsonl").read_text(encoding="utf-8")
    entries = [json.loads(line) for line in text.splitlines()]
    categories = list(dict.fromkeys(entry["category"] for entry in entries))
    numbers: dict[tuple[str, str], int] = {}
    ranked: list[tuple[tuple[int, int, str], Row]] = []
    for entry in entries:
        half, category = entry["half"], entry["category"]
        number = numbers[half, category] = numbers.get((half, category), -1) + 1
        rule = HALVES[half]
        row = Row(
            f"{half}/{category}/{number:02}",
            (Turn("user", entry["request"]),),
            rule.request(),
            rules=(rule,),
        )
        ranked.append(((number, categories.index(category), half), row))
    return [row for _, row in sorted(ranked, key=lambda pair: pair[0])]

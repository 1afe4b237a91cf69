"""``forgetless audit``: how answers to one's own items are scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Forgetless
from tests.tiny import write_rows


@pytest.fixture
def items(tmp_path: Path) -> Path:
    rows = [{"prompt": f"colour {number}?", "completion": "red"} for number in range(4)]
    return write_rows(tmp_path / "colours.jsonl", rows)


def test_score_is_the_one_asked_for(
    forgetless: Forgetless, tiny_model: Path, items: Path, tmp_path: Path
) -> None:
    asked = ("audit", tiny_model, tiny_model, "--task", items, "-q", "-o", tmp_path / "page")
    for score, scorer in (((), "exact_match"), (("--score", "contains"), "contains")):
        ended = forgetless(*asked, *score)
        assert (ended.code, ended.err) == (4, "")
        told = json.loads((tmp_path / "page" / "audit.json").read_text())
        assert [task["scorer"] for task in told["tasks"]] == [scorer]


def test_columns_of_other_names_are_asked_beside_those_of_ours(
    forgetless: Forgetless, tiny_model: Path, items: Path, tmp_path: Path
) -> None:
    german = tmp_path / "german.csv"
    german.write_text("frage,antwort\n" + "".join(f"Farbe {n}?,rot\n" for n in range(4)))
    ended = forgetless(
        *("audit", tiny_model, tiny_model, "--task", german, "--task", items),
        *("--fields", "prompt=frage,completion=antwort", "-q", "-o", tmp_path / "page"),
    )
    assert (ended.code, ended.err) == (4, "")
    told = json.loads((tmp_path / "page" / "audit.json").read_text())
    assert {task["name"]: task["items"] for task in told["tasks"]} == {"german": 4, "colours": 4}


def test_names_of_columns_without_a_task_are_refused(
    forgetless: Forgetless, tiny_model: Path
) -> None:
    ended = forgetless("audit", tiny_model, tiny_model, "--fields", "prompt=frage")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: --fields: there is no --task\n")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ((), "--score: there is no --task"),
        (("--task", "lm_eval:arc_easy"), "lm_eval:arc_easy brings its own scores"),
        (("--task", "colours.jsonl"), "score: found str 'kind'"),
    ],
)
def test_score_that_cannot_be_is_refused(
    forgetless: Forgetless, tiny_model: Path, more: tuple[str, ...], told: str
) -> None:
    ended = forgetless("audit", tiny_model, tiny_model, "--score", "kind", *more)
    assert ended.code == 2
    assert told in ended.err

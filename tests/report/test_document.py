"""report.json holds everything, in values that any JSON reader accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forgetless.metrics import matrix_to_json
from forgetless.report import (
    Report,
    Verdict,
    analyse,
    reach_verdict,
    read_run,
    render_json,
    report_document,
)
from forgetless.report.document import FORMAT

from .fake_runs import FakeTask, write_run
from .hostile import write_hostile


@pytest.fixture(scope="module")
def document(report: Report, verdict: Verdict) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    read: dict[str, Any] = json.loads(render_json(report, verdict), parse_constant=refuse)
    return read


def test_it_reads_back_as_it_was(
    report: Report, verdict: Verdict, document: dict[str, Any]
) -> None:
    assert document["format"] == FORMAT == 1
    assert document == json.loads(json.dumps(report_document(report, verdict)))


def test_the_verdict_and_the_arms_are_named(document: dict[str, Any], verdict: Verdict) -> None:
    assert document["verdict"] == {"sentences": list(verdict.sentences), "tone": "lost"}
    assert [(arm["title"], arm["role"]) for arm in document["arms"]] == [
        ("sequential", "sequential"),
        ("replay", "protected"),
        ("ewc", "protected"),
        ("joint", "joint"),
    ]


def test_the_matrix_is_as_in_matrix_json(report: Report, document: dict[str, Any]) -> None:
    for arm, written in zip(report.arms, document["arms"], strict=True):
        expected = matrix_to_json(arm.run.matrix)
        found = written["matrix"]
        for name in ("stages", "scores", "intervals", "n", "errors", "excluded", "missing"):
            assert found[name] == expected[name]
        assert found["tasks"] == [task["name"] for task in expected["tasks"]]


def test_figures_are_those_of_the_summary(report: Report, document: dict[str, Any]) -> None:
    for arm, written in zip(report.arms, document["arms"], strict=True):
        expected = arm.summary.to_json()
        for name in set(written["figures"]) - {"gap_closed"}:
            assert written["figures"][name] == expected[name]
        for task in expected["tasks"]:
            found = written["tasks"][task["name"]]
            assert {name: found[name] for name in task if name != "name"} == {
                name: value for name, value in task.items() if name != "name"
            }


def test_judgements_and_flips_are_there(document: dict[str, Any]) -> None:
    medical = document["arms"][0]["tasks"]["medical"]
    assert (medical["fate"], medical["learning"]) == ("lost", "learned")
    assert len(medical["judged"]["flips"]["lost"]) == 78
    assert medical["judged"]["p_adjusted"] < 1e-9
    assert document["arms"][0]["tasks"]["prose"]["judged"]["flips"] is None
    assert document["arms"][0]["tasks"]["legal"]["judged"] is None


def test_every_changed_item_is_there_with_its_answers(
    report: Report, document: dict[str, Any]
) -> None:
    assert len(document["changes"]) == len(report.changes)
    first = document["changes"][0]
    assert first["arms"][0]["before"]["output"] == first["gold"]
    assert first["arms"][0]["after"]["score"] == 0.0


def test_an_absent_figure_is_null_with_its_reason(document: dict[str, Any]) -> None:
    figure = document["arms"][3]["figures"]["average_forgetting"]
    assert figure["value"] is None
    assert figure["reason"]


def test_a_cell_not_measured_is_null_with_its_reason(tmp_path: Path) -> None:
    tasks = [FakeTask("law", [0.1, 0.9], 1, items=10), FakeTask("general", [0.5, None], items=10)]
    report = analyse([read_run(write_run(tmp_path / "run", tasks))], draws=50)
    matrix = report_document(report, reach_verdict(report))["arms"][0]["matrix"]
    assert matrix["scores"][1] == [0.9, None]
    assert matrix["n"][1] == [10, 0]
    assert matrix["missing"] == {"general": {"1": "stage '1-law' scored no item of it"}}


def test_texts_are_kept_to_the_letter_and_written_in_ascii(tmp_path: Path) -> None:
    report = analyse([read_run(folder) for folder in write_hostile(tmp_path)], draws=50)
    text = render_json(report, reach_verdict(report))
    assert text.isascii()
    said = json.loads(text)["arms"][0]["answers"][0][0]["answer"]
    assert said == report.arms[0].run.answers[0][0].answer
    assert "\x1b[31m" in said

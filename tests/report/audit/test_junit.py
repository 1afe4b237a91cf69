"""The test report is valid in both dialects, and says of each task what became of it."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from forgetless.auditing.result import Audit
from forgetless.report.audit import gate_line, render_junit
from forgetless.report.audit.junit import MOST_ITEMS

from .fake_audits import ATTACK, BASE, LATER, TUNED, all_kept, answers, audit, hostile, ids, verdict

# The strict dialect: Apache Ant's, as the schema of Windy Road has it; Jenkins allows more.
SUITE = {"id", "package", "name", "timestamp", "hostname", "tests", "failures", "errors", "time"}
TOLD = {"failure", "error", "skipped"}


def parsed(found: Audit, **how: str) -> ElementTree.Element:
    return ElementTree.fromstring(render_junit(found, **how).encode())  # type: ignore[arg-type]  # noqa: S314


def cases(found: Audit, suite: int = 0) -> dict[str, ElementTree.Element]:
    return {case.get("name", ""): case for case in parsed(found)[suite].iter("testcase")}


@pytest.mark.parametrize("found", [audit(), all_kept(), hostile()], ids=["rich", "kept", "hostile"])
def test_the_strict_dialect_is_kept(found: Audit) -> None:
    root = parsed(found)
    assert root.tag == "testsuites"
    assert root.attrib == {}
    for place, suite in enumerate(root):
        assert suite.tag == "testsuite"
        assert set(suite.attrib) - {"skipped"} == SUITE
        assert suite.get("id") == str(place)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        tags = [child.tag for child in suite]
        middle = ["testcase"] * (len(tags) - 3)
        assert tags == ["properties", *middle, "system-out", "system-err"]
        for entry in suite[0]:
            assert set(entry.attrib) == {"name", "value"}
        for case in suite.iter("testcase"):
            assert set(case.attrib) == {"name", "classname", "time"}
            assert len(case) <= 1
            for told in case:
                assert told.tag in TOLD
                assert set(told.attrib) == {"message", "type"}
                assert len(told) == 0
        for node in suite.iter():
            for name, value in node.attrib.items():
                assert value == " ".join(value.split()), name  # a token, as the schema has it
                assert value or name == "value"
                if name == "time":
                    assert Decimal(value) >= 0


def test_one_suite_for_each_model_and_one_case_for_each_task() -> None:
    root = parsed(audit())
    assert [suite.get("name") for suite in root] == [
        f"forgetless audit of {label}" for label in (TUNED, LATER)
    ]
    names = [task.name for task in audit().tasks]
    assert [[c.get("name") for c in suite.iter("testcase")] for suite in root] == [names, names]


def test_each_verdict_has_its_outcome() -> None:
    found = {name: [told.tag for told in case] for name, case in cases(audit()).items()}
    assert found == {
        "arithmetic": [],
        "facts": ["failure"],
        "format": ["failure"],
        "reading": ["skipped"],
        "code": ["skipped"],
        "safety": [],
        "prose": [],
        "languages": ["error"],
    }


def test_the_counts_are_those_of_the_cases() -> None:
    for how in ("skipped", "failure"):
        for suite in parsed(audit(), inconclusive=how):
            assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
            for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                assert int(suite.attrib[name]) == len(list(suite.iter(tag)))


def test_inconclusive_may_be_a_failure() -> None:
    suite = parsed(audit(), inconclusive="failure")[0]
    (case,) = [case for case in suite.iter("testcase") if case.get("name") == "reading"]
    assert [told.tag for told in case] == ["failure"]
    assert "1,450 items" in (case[0].text or "")


def test_a_failure_tells_figures_and_lost_items() -> None:
    (told,) = cases(audit())["facts"]
    assert told.get("message") == "lost (knowledge): the score went from 0.90 to 0.30"
    text = told.text or ""
    assert "change: −0.60 (95% limits −0.64 to −0.56)" in text
    assert "lost: facts-12\n  asked:  Q: what is facts number 12?" in text
    assert "before: base says 12\n  after:  tuned says 12" in text
    assert text.count("lost: ") == MOST_ITEMS
    assert "4 more items lost; audit.json has all" in text


def test_a_figure_without_limits_is_told_alone() -> None:
    found = all_kept()
    bare = verdict("arithmetic", "lost", 1.0, 0.5, half=0.0, lost=ids("arithmetic", 0, 1))
    comparison = replace(found.comparisons[0], verdicts=(bare,), gate="broken")
    (told,) = cases(replace(found, comparisons=(comparison,)))["arithmetic"]
    assert "before: 1.00\nafter: 0.50\nchange: −0.50\n" in (told.text or "")


def test_the_time_of_a_model_is_shared_out_over_its_items() -> None:
    found = audit()
    tasks = (replace(found.tasks[0], items=280), *found.tasks[1:])
    suite = parsed(replace(found, tasks=tasks))[0]
    assert suite.get("time") == "81.000"
    times = [Decimal(case.attrib["time"]) for case in suite.iter("testcase")]
    assert times[0] == Decimal("40.500")
    assert abs(sum(times, Decimal(0)) - 81) < Decimal("0.01")


def test_no_cost_is_no_time() -> None:
    assert parsed(replace(audit(), costs={}))[0].get("time") == "0.000"


def test_the_outcome_stands_in_the_output() -> None:
    assert parsed(audit())[0].findtext("system-out") == gate_line(audit())


def test_control_signs_and_ends_of_sections_do_no_harm() -> None:
    text = render_junit(hostile())
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff\u202e]", text)
    assert "]]>" not in text
    assert "<script" not in text
    told = "".join(node.text or "" for node in parsed(hostile()).iter("failure"))
    assert "␛[31mred␀⟨RLO⟩" in told
    assert "<script>" in told


def test_a_task_without_items_takes_no_time() -> None:
    found = all_kept()
    empty = replace(found, tasks=(replace(found.tasks[0], items=0),))
    assert cases(empty)["arithmetic"].get("time") == "0.000"


def test_an_answer_that_could_not_be_had_is_told_as_such() -> None:
    found = all_kept()
    lost = verdict("arithmetic", "lost", 1.0, 0.0, lost=ids("arithmetic", 0, 40))
    items = answers("arithmetic", [BASE, TUNED], [40, 0], said=ATTACK)
    found = replace(
        found,
        comparisons=(replace(found.comparisons[0], verdicts=(lost,), gate="broken"),),
        items=tuple(items),
    )
    (told,) = cases(found)["arithmetic"]
    assert len(told.text or "") < MOST_ITEMS * 1600  # long answers are cut

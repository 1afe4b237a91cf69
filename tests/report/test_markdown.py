"""The Markdown is a comment that one can post: short, complete, and with nothing smuggled in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forgetless.report import Report, Verdict, analyse, reach_verdict, read_run, render_markdown
from forgetless.report.figures import FIGURES
from forgetless.report.markdown import MOST_ITEMS
from forgetless.report.phrases import judgement
from forgetless.report.wording import number

from .fake_runs import FakeTask, write_run
from .hostile import write_hostile

LONGEST_COMMENT = 65_536


@pytest.fixture(scope="module")
def text(report: Report, verdict: Verdict) -> str:
    return render_markdown(report, verdict)


def tables(text: str) -> list[list[list[str]]]:
    """Every table as rows of cells; pipes that are escaped do not part cells."""
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, flags=re.M)
    return [
        [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in block.splitlines()
        ]
        for block in blocks
    ]


def test_the_verdict_comes_first(text: str, verdict: Verdict) -> None:
    assert text.splitlines()[2] == f"**{verdict.sentences[0]}** {verdict.sentences[1]}"


def test_every_table_is_whole(text: str) -> None:
    found = tables(text)
    assert len(found) == 2 + 4 + 1
    for table in found:
        assert len({len(row) for row in table}) == 1
        assert all(re.fullmatch("-+:?", cell) for cell in table[1])


def test_each_task_and_arm_says_where_it_began_and_ended(text: str) -> None:
    rows = {row[0]: row[1:] for row in tables(text)[0]}
    assert rows["medical"][0] == "0.78 → 0.00 **lost**"
    assert rows["medical"][3] == "0.80"  # joint: nothing came after it
    assert rows["prose"][0] == "−2.90 → −1.90 **improved**"


def test_it_judges_a_task_in_the_words_of_the_page(tmp_path: Path) -> None:
    tasks = [
        FakeTask("law", [0.5, 0.5, 0.5], 1, items=400),
        FakeTask("tax", [0.0, 0.0, 0.9], 2),
        FakeTask("quiz", [0.5, 0.5, 0.4], items=10),
    ]
    report = analyse([read_run(write_run(tmp_path / "run", tasks))], draws=200)
    found = render_markdown(report, reach_verdict(report))
    rows = {row[0]: row[1] for row in tables(found)[0]}
    assert rows["law"] == "0.50 → 0.50 not measurably learned"
    (arm,) = report.arms
    assert rows["quiz"].endswith(f" {judgement(arm.outcome('quiz'), last=2)}")


def test_figures_are_those_of_the_report(text: str, report: Report) -> None:
    rows = {row[0]: row[1:] for row in tables(text)[1]}
    for kind in FIGURES:
        for arm, cell in zip(report.arms, rows[kind.name], strict=True):
            value = kind.of(arm).value
            shown = "—" if value is None else number(value, signed=kind.signed)
            assert cell.split(" (")[0] == shown


def test_changed_items_are_few_and_the_rest_is_counted(text: str, report: Report) -> None:
    assert len(tables(text)[-1]) == 2 + MOST_ITEMS
    assert f"{len(report.changes) - MOST_ITEMS} more are in the HTML report." in text
    assert f"<summary>{len(report.changes)} items lost or gained</summary>" in text


def test_it_fits_into_a_comment(text: str) -> None:
    assert len(text) < LONGEST_COMMENT


def test_warnings_are_told(text: str) -> None:
    assert "> [!WARNING]\n> - plain, replay and ewc: task" in text


@pytest.mark.parametrize(
    ("output", "cell"),
    [
        ("a | b", r"**lost** `a \| b`"),
        ("a `b` ``c``", "**lost** ``` a `b` ``c`` ```"),
        ("`", "**lost** `` ` ``"),
        ("one\n\ntwo", "**lost** `one two`"),
        (" ", "**lost** —"),
    ],
)
def test_an_answer_stays_in_its_cell(tmp_path: Path, output: str, cell: str) -> None:
    task = FakeTask("law", [0.0, 1.0, 0.0], 1, items=3, output=output)
    report = analyse([read_run(write_run(tmp_path / "run", [task]))], draws=50)
    assert tables(render_markdown(report, reach_verdict(report)))[-1][2][3] == cell


def test_texts_from_outside_cannot_become_markup_or_mention_anyone(tmp_path: Path) -> None:
    report = analyse([read_run(folder) for folder in write_hostile(tmp_path)], draws=50)
    text = render_markdown(report, reach_verdict(report))
    bare = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", text)  # without code spans
    tags = re.findall(r"(?<!\\)<(?!!--)(/?[a-z]+)", bare)
    ours = ["details", "summary", "/summary", "/details"]
    assert tags == ours * text.count("\n<summary>")
    assert "@everyone" not in bare
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)
    for table in tables(text):
        assert len({len(row) for row in table}) == 1

"""The page is valid, complete, self-contained, safe, and says what the figures say."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import pairwise
from pathlib import Path

import pytest

from forgetless.report import Report, Verdict, analyse, reach_verdict, read_run, render_html
from forgetless.report.figures import FIGURES
from forgetless.report.html import items as html_items
from forgetless.report.wording import interval, number

from .fake_runs import FakeTask, write_run
from .hostile import write_hostile
from .pages import Element, Page


@pytest.fixture(scope="module")
def markup(report: Report, verdict: Verdict) -> str:
    return render_html(report, verdict)


@pytest.fixture(scope="module")
def page(markup: str) -> Element:
    return Page(markup).root


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    folders = write_hostile(tmp_path_factory.mktemp("hostile"))
    report = analyse([read_run(folder) for folder in folders], draws=50)
    return render_html(report, reach_verdict(report))


def rendered(folder: Path, *tasks: FakeTask, **how: object) -> Element:
    report = analyse([read_run(write_run(folder / "run", tasks, **how))], draws=50)  # type: ignore[arg-type]
    return Page(render_html(report, reach_verdict(report))).root


def test_ids_are_unique_and_what_refers_to_them_exists(page: Element) -> None:
    ids = [node.attributes["id"] for node in page.walk() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    for node in page.walk():
        for name in ("aria-labelledby", "aria-describedby", "for"):
            for target in node.attributes.get(name, "").split():
                assert target in ids
        if node.attributes.get("href", "").startswith("#"):
            assert node.attributes["href"][1:] in ids


def test_nothing_is_loaded_from_anywhere(markup: str, page: Element) -> None:
    assert not re.search(r"(?:https?:)?//[a-z0-9]|url\(|@import", markup.replace("\n//", ""))
    for node in page.walk():
        assert not {"src", "srcset", "action", "formaction", "data", "poster"} & set(
            node.attributes
        )
        assert node.attributes.get("href", "#").startswith("#")
        assert node.tag not in {"link", "iframe", "object", "embed", "img", "base"}


def test_the_policy_allows_the_two_own_blocks_and_nothing_else(page: Element) -> None:
    (policy,) = [
        node.attributes["content"]
        for node in page.find("meta")
        if node.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (block,) = page.find(tag)
        digest = hashlib.sha256("".join(block.texts).encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    head = page.find("head")[0].children
    before = [node.tag for node in head[: next(i for i, n in enumerate(head) if n.tag == "style")]]
    assert before.count("meta") >= 2  # the policy stands before what it governs


def test_no_style_or_handler_stands_in_an_attribute(page: Element, hostile: str) -> None:
    for root in (page, Page(hostile).root):
        for node in root.walk():
            assert not [
                name for name in node.attributes if name.startswith("on") or name == "style"
            ]


def test_nothing_a_model_or_a_plan_says_becomes_markup(hostile: str) -> None:
    root = Page(hostile).root
    assert len(root.find("script")) == 1
    assert not root.find("img")
    assert not root.find("textarea")
    assert len(root.find("title")) > 1  # pictures have titles; the text of the attack is in them
    assert "pwned" not in "".join(root.find("script")[0].texts)
    assert "<script>document" in root.text()
    assert "{{7*7}}" in root.text()


def test_what_is_hidden_in_a_text_is_shown(hostile: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", hostile)
    assert "␛[31mred␀⟨RLO⟩" in hostile


def test_the_verdict_comes_first(page: Element, verdict: Verdict) -> None:
    (block,) = page.find("div", "verdict")
    assert [p.text() for p in block.find("p")] == list(verdict.sentences)
    text = page.find("body")[0].text()
    assert text.index(verdict.sentences[0]) < text.index("Score on every task")


def test_every_score_of_the_matrix_is_that_of_metrics(page: Element, report: Report) -> None:
    tables = page.find("table", "heat")
    units = ["accuracy"] * 4 + ["nats"] * 4
    for table, arm, unit in zip(tables, report.arms * 2, units, strict=True):
        names = [task.name for task in report.tasks if task.unit == unit]
        body = table.find("tbody")[0]
        for row, line in enumerate(body.find("tr")):
            for name, cell in zip(names, line.find("td"), strict=True):
                value = arm.run.matrix.score(row, name)
                limits = arm.intervals[row, name]
                assert "".join(cell.texts) == number(value)
                for text in (cell.attributes["title"], cell.find("span", "sr")[0].text()):
                    assert number(value) in text
                    assert f"95% interval {interval(limits.low, limits.high)}" in text
                    assert f"{arm.run.matrix.item_count(name)} items" in text
                own = arm.outcome(name).task.trained_in == row
                assert ("own" in cell.attributes["class"].split()) == own


def test_forgetting_stands_below_each_matrix(page: Element, report: Report) -> None:
    cells = page.find("table", "heat")[0].find("tfoot")[0].find("td")
    values = ["".join(cell.texts) for cell in cells]
    assert values == ["+0.78", "—", "+0.22"]
    assert ["lost" in cell.attributes["class"] for cell in cells] == [True, False, True]
    assert "trained in the last stage" in cells[1].attributes["title"]


def test_stronger_shades_are_better_scores(page: Element, report: Report) -> None:
    tables = page.find("table", "heat")
    assert len(tables) == 2 * len(report.arms)  # accuracy, nats
    for table in tables:
        cells = table.find("tbody")[0].find("td")
        shaded = [
            (int(re.search(r"h(\d+)", cell.attributes["class"])[1]), "".join(cell.texts))  # type: ignore[index]
            for cell in cells
        ]
        ranked = sorted((float(text.replace("−", "-")), shade) for shade, text in shaded)
        assert [shade for _, shade in ranked] == sorted(shade for shade, _ in shaded)


def test_every_figure_is_that_of_the_summary_or_absent_with_the_reason(
    page: Element, report: Report
) -> None:
    rows = page.find("table", "figures")[0].find("tbody")[0].find("tr")
    for kind, row in zip(FIGURES, rows, strict=True):
        assert kind.name in row.text()
        assert kind.formula in row.text()
        assert kind.meaning in row.text()
        for arm, cell in zip(report.arms, row.find("td"), strict=True):
            figure = kind.of(arm)
            if figure.value is None:
                assert "".join(cell.texts) == "—"
                assert figure.reason
                assert figure.reason in cell.text()
            else:
                assert "".join(cell.texts) == number(figure.value, signed=kind.signed)
                assert figure.interval is not None
                ends = interval(figure.interval.low, figure.interval.high, signed=kind.signed)
                assert ends in cell.text()


def test_a_cell_that_was_not_measured_is_hatched_with_the_reason(tmp_path: Path) -> None:
    root = rendered(
        tmp_path,
        FakeTask("law", [0.1, 0.9, 0.5], 1, items=10),
        FakeTask("general", [0.5, None, 0.4], items=10),
        stages=["base", "law", "tax"],
    )
    (cell,) = root.find("table", "heat")[0].find("td", "absent")
    assert "".join(cell.texts) == "—"
    assert "not measured: stage '1-law' scored no item of it" in cell.attributes["title"]
    assert "not measured" in root.find("p", "key")[0].text()


def test_every_changed_item_is_there_with_question_gold_and_answers(
    page: Element, report: Report
) -> None:
    entries = page.find("details", "item")
    assert len(entries) == len(report.changes)
    for entry, change in zip(entries, report.changes, strict=True):
        assert entry.attributes["data-task"] == change.task
        assert change.gold in entry.text()
        for arm in change.arms:
            assert arm.title in entry.text()
            if arm.after.output is not None:
                assert " ".join(arm.after.output.split()) in entry.text()
    assert (
        "1-lost" in entries[0].attributes["data-keys"].split()
        or "0-lost" in entries[0].attributes["data-keys"].split()
    )


def test_items_beyond_the_limit_are_counted(
    report: Report, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html_items, "MOST_ITEMS", 7)
    root = Page(render_html(report, verdict)).root
    assert len(root.find("details", "item")) == 7
    assert f"{len(report.changes) - 7:,} more changed items are in report.json." in root.text()


def test_a_long_answer_is_cut_and_says_so(tmp_path: Path) -> None:
    root = rendered(tmp_path, FakeTask("law", [0, 1, 0], 1, items=2, output="word " * 1000))
    said = root.find("details", "item")[0].text()
    assert "more signs)" in said
    assert len(said) < 3000


def test_free_answers_stand_before_and_after(page: Element) -> None:
    (article,) = page.find("article", "asked-free")
    headings = [node.text() for node in article.find("h4")]
    assert headings == [
        "Untouched model",
        "sequential, at the end",
        "replay, at the end",
        "ewc, at the end",
    ]
    assert "Consideration is a thing of value." in article.text()
    assert "Thirst, tiredness, blurred vision." in article.text()


def test_without_free_answers_there_is_no_such_section(tmp_path: Path) -> None:
    root = rendered(tmp_path, FakeTask("law", [0.1, 0.9], 1, items=10))
    assert not root.find("article")
    assert "Free answers" not in root.text()


def test_readings_settings_versions_and_commands_are_there(page: Element, report: Report) -> None:
    text = page.find("section")[-1].text()
    for part in ("2.11.0", "chat, 3 worked examples", "0.0005", "5af571cb", "3.21 to 0.14"):
        assert part in text
    folder = report.arms[1].run.folder
    assert f"forgetless run {folder}/plan.yaml" in text
    assert "exact_match (used)" in page.find("section")[-2].text()


def test_numbers_of_a_run_that_was_moved_are_had_again_where_it_is_now(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [FakeTask("law", [0.1, 0.9], 1, items=10)])
    (folder / "plan.yaml").write_text("output: elsewhere\n")
    report = analyse([read_run(folder)], draws=50)
    told = f"forgetless run {folder}/plan.yaml --set output={folder}"
    assert told in Page(render_html(report, reach_verdict(report))).root.text()


@pytest.mark.parametrize("arms", [1, 2])
def test_one_arm_needs_no_legend(tmp_path: Path, arms: int) -> None:
    runs = []
    for place in range(arms):
        tasks = [FakeTask("law", [0.1, 0.9, 0.2], 1, items=10)]
        label = ["sequential", "replay"][place]
        runs.append(read_run(write_run(tmp_path / label, tasks, label=label)))
    report = analyse(runs, draws=50)
    root = Page(render_html(report, reach_verdict(report))).root
    assert bool(root.find("ul", "legend")) == (arms > 1)


def test_a_run_with_nothing_lost_says_so(tmp_path: Path) -> None:
    root = rendered(tmp_path, FakeTask("law", [0.0, 1.0, 1.0], 1, items=10))
    assert "No item was lost or gained after it had been learned." in root.text()
    assert not root.find("form")


def test_a_run_that_has_only_begun_can_be_shown(tmp_path: Path) -> None:
    root = rendered(tmp_path, FakeTask("law", [0.1, 0.9, 0.2], 1, items=10), done=1)
    assert "Not measured" in root.text()
    assert "1 of 2 stages are done" in root.text()
    assert len(root.find("table", "heat")[0].find("td", "absent")) == 1


def test_a_run_scored_in_nats_alone_can_be_shown(tmp_path: Path) -> None:
    root = rendered(tmp_path, FakeTask("prose", [-3, -1, -2], 1, items=11, unit="nats"))
    assert len(root.find("table", "heat")) == 1
    assert "no trained task is scored as an accuracy" in root.text()


def test_every_picture_has_a_name_and_a_description(page: Element) -> None:
    pictures = [node for node in page.find("svg") if node.attributes.get("role") == "img"]
    assert len(pictures) == 3 + 3 + 4
    for node in pictures:
        assert [child.tag for child in node.children[:2]] == ["title", "desc"]
        assert node.children[1].text()
    for node in page.find("svg"):
        assert node in pictures or node.attributes.get("aria-hidden") == "true"


def test_headings_do_not_skip_a_level(page: Element) -> None:
    levels = [int(node.tag[1]) for node in page.walk() if re.fullmatch("h[1-6]", node.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))

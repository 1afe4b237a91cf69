"""In a browser the page fits, filters and explains itself, and runs nothing but its own script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forgetless.report import write_report

from .browser import FITS, OPEN_ALL, ask
from .fake_runs import FakeTask, write_run
from .hostile import write_hostile

pytestmark = pytest.mark.browser

FILTER = """
  const form = page.querySelector(".filter");
  const items = [...page.querySelectorAll(".item")];
  const shown = () => items.filter((node) => node.getClientRects().length > 0);
  const settle = async () => { await rest(300); return shown().length; };
  const set = (name, value) => {
    form.elements[name].value = value;
    form.elements[name].dispatchEvent(new view.Event("input", { bubbles: true }));
  };
  const button = page.querySelector(".further button");
  const found = { all: items.length, formIsThere: !form.hidden, first: shown().length };
  found.button = button.textContent;
  button.click();
  found.afterButton = shown().length;
  set("task", "general");
  found.general = await settle();
  found.generalTasks = [...new Set(shown().map((node) => node.dataset.task))];
  set("task", "");
  set("arm", "1");
  set("change", "lost");
  found.replayLost = await settle();
  set("arm", "");
  set("change", "");
  set("search", "ARIPIPRAZOLE vein");
  await settle();
  button.click();
  found.search = shown().length;
  found.searchTexts = shown().every((node) => /aripiprazole/i.test(node.textContent));
  found.output = form.querySelector("output").textContent;
  set("search", "nothing like this");
  found.none = await settle();
  return found;
"""
TIP = """
  const cells = [...page.querySelectorAll(".heat")[0].querySelectorAll("td")];
  const tip = page.getElementById("tip");
  const found = { before: tip.hidden, stops: cells.filter((cell) => cell.tabIndex === 0).length };
  cells[0].focus();
  found.focused = tip.textContent;
  found.shown = !tip.hidden;
  const press = (key) => page.activeElement.dispatchEvent(
    new view.KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  press("ArrowDown");
  press("ArrowRight");
  found.moved = tip.textContent;
  press("ArrowUp");
  press("ArrowUp");
  press("ArrowUp");
  found.edge = tip.textContent;
  press("Escape");
  found.after = tip.hidden;
  return found;
"""


@pytest.fixture(scope="module")
def demo(arms: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(arms, tmp_path_factory.mktemp("demo")).html


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    return write_report(write_hostile(root), root / "out").html


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight tasks, twelve stages, two arms, a thousand lost items and names that do not break."""
    root = tmp_path_factory.mktemp("large")

    def tasks(end: float) -> list[FakeTask]:
        names = ["x" * 60, "a-long-name-with-joints", *(f"task_{i}" for i in range(6))]
        return [
            FakeTask(name, [0.0] * (2 * i + 1) + [1.0] * (10 - 2 * i) + [end], 2 * i + 1, items=260)
            if i < 4
            else FakeTask(name, [0.5] * 12, items=20)
            for i, name in enumerate(names)
        ]

    folders = [
        write_run(root / label, tasks(end), label=label)
        for label, end in (("sequential", 0.0), ("replay", 0.9))
    ]
    return write_report(folders, root / "out").html


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven tasks in eleven stages, two arms, names as people give them."""
    root = tmp_path_factory.mktemp("usual")
    names = ("medical shorthand", "contract-law", "chemistry_names", "cooking", "poetry")

    def tasks(end: float) -> list[FakeTask]:
        trained = [
            FakeTask(name, [0.1] * at + [0.9] * (11 - at) + [end], at, items=20)
            for name, at in zip((*names, "support tickets"), (1, 3, 5, 7, 9, 11), strict=True)
        ]
        return [*trained, FakeTask("general", [0.5] * 12, items=20)]

    folders = [
        write_run(root / label.replace(" ", ""), tasks(end), label=label)
        for label, end in (("sequential", 0.0), ("replay + ewc", 0.9))
    ]
    return write_report(folders, root / "out").html


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("which", ["demo", "hostile", "large"])
def test_nothing_sticks_out_of_the_page(
    request: pytest.FixtureRequest, tmp_path: Path, which: str, width: int
) -> None:
    found = ask(request.getfixturevalue(which), OPEN_ALL + FITS, tmp_path, width=width)
    assert found["wide"] == width
    assert found["out"] == []
    assert found["scroll"] <= width
    assert found["scroll"] <= width


def test_nothing_that_a_model_or_a_plan_says_is_run(hostile: Path, tmp_path: Path) -> None:
    found = ask(hostile, OPEN_ALL + "await rest(500); return [page.title, view.title];", tmp_path)
    assert found[0].startswith("Forgetting found: ")


def test_even_markup_that_slipped_through_would_not_run(demo: Path, tmp_path: Path) -> None:
    attack = (
        "<script>document.title = 'pwned'</script><img src=x onerror=\"document.title='pwned'\">"
    )
    page = tmp_path / "attacked.html"
    page.write_text(demo.read_text(encoding="utf-8").replace("<main>", f"<main>{attack}"))
    assert "pwned" not in ask(page, "await rest(500); return page.title;", tmp_path)


def test_filters_and_search_hide_rows(demo: Path, tmp_path: Path) -> None:
    found: dict[str, Any] = ask(demo, FILTER, tmp_path)
    assert found["all"] == 78 + 33  # medical and general, as plain training lost them
    assert found["formIsThere"]
    assert found["first"] == 25
    assert found["button"] == "Show all 111"
    assert found["afterButton"] == 111
    assert found["generalTasks"] == ["general"]
    assert found["general"] == 25
    assert found["replayLost"] == 3 + 3
    assert 0 < found["search"] < 25
    assert found["searchTexts"]
    assert found["output"] == f"{found['search']} of 111 items"
    assert found["none"] == 0


def test_without_scripts_everything_is_there(demo: Path, tmp_path: Path) -> None:
    found = ask(
        demo,
        """
        const items = [...page.querySelectorAll(".item")];
        items[0].open = true;
        return {
          items: items.filter((node) => node.getClientRects().length > 0).length,
          answer: items[0].querySelector("td.said").getClientRects().length,
          form: page.querySelector(".filter").getClientRects().length,
          further: page.querySelector(".further").getClientRects().length,
          tip: page.querySelector(".heat td").title,
        };
        """,
        tmp_path,
        scripts=False,
    )
    assert found["items"] == 111
    assert found["answer"] == 1
    assert found["form"] == found["further"] == 0
    assert "95% interval" in found["tip"]


def test_a_cell_tells_its_interval_on_focus_and_arrows_move_on(demo: Path, tmp_path: Path) -> None:
    found = ask(demo, TIP, tmp_path)
    assert found["before"]
    assert found["stops"] == 1
    assert found["shown"]
    assert found["focused"].startswith("medical after stage 0 (base): 0.06\n95% interval ")
    assert found["moved"].startswith("legal after stage 1 (medical): 0.12\n")
    assert found["edge"].startswith("legal after stage 0 (base): 0.10\n")
    assert found["after"]


def test_the_page_is_dark_for_who_prefers_it(demo: Path, tmp_path: Path) -> None:
    script = """
      const style = (node) => view.getComputedStyle(node);
      return [style(page.body).backgroundColor, style(page.body).color,
              style(page.querySelector(".heat td")).backgroundColor];
    """
    light = ask(demo, script, tmp_path)
    dark = ask(demo, script, tmp_path, dark=True)
    assert light[:2] == ["rgb(255, 255, 255)", "rgb(25, 29, 34)"]
    assert dark[:2] == ["rgb(19, 22, 26)", "rgb(232, 234, 237)"]
    assert light[2] != dark[2]


def test_the_filter_says_how_many_items_a_task_has(demo: Path, tmp_path: Path) -> None:
    script = """
      const options = [...page.querySelector(".filter").elements.task.options];
      return options.map((option) => [option.value, option.textContent]);
    """
    assert ask(demo, script, tmp_path) == [
        ["", "all tasks"],
        ["medical", "medical (78)"],
        ["general", "general (33)"],
    ]


def test_the_number_of_a_stage_stays_on_one_line(usual: Path, tmp_path: Path) -> None:
    script = """
      const heights = [...page.querySelectorAll(".heat tbody th i")].map((node) => {
        const line = parseFloat(view.getComputedStyle(node).lineHeight);
        const range = page.createRange();
        range.selectNodeContents(node);
        return range.getBoundingClientRect().height / line;
      });
      return [heights.length, Math.max(...heights)];
    """
    count, lines = ask(usual, script, tmp_path, width=400)
    assert count == 2 * 12
    assert lines < 1.5


def test_pictures_of_one_unit_stand_together(demo: Path, tmp_path: Path) -> None:
    script = """
      return [...page.querySelectorAll("#kept .panels")].map((row) =>
        [...row.querySelectorAll("h3")].map((node) => node.textContent.trim()));
    """
    assert ask(demo, script, tmp_path) == [["sequential", "replay", "ewc"]] * 2


def on_paper(page: Path, folder: Path) -> Path:
    """A page as a printer sees it."""
    text = page.read_text(encoding="utf-8")
    assert text.count("@media print {") == text.count("Content-Security-Policy") == 1
    text = text.replace("@media print {", "@media all {")
    file = folder / "paper.html"  # the policy knows its styles by their hash
    file.write_text(text.replace("Content-Security-Policy", "none"), encoding="utf-8")
    return file


def test_on_paper_nothing_is_cut_off(usual: Path, tmp_path: Path) -> None:
    script = """
      const right = (node) => node.getBoundingClientRect().right;
      return [...page.querySelectorAll(".scroll > table")]
        .filter((table) => table.getClientRects().length && !table.closest(".item, .more"))
        .filter((table) => right(table) > right(table.parentElement) + 1)
        .map((table) => table.parentElement.getAttribute("aria-label"));
    """
    a4 = 703  # CSS pixels between the margins
    assert ask(on_paper(usual, tmp_path), script, tmp_path, width=a4) == []


def test_on_paper_a_list_says_that_it_is_cut_short(large: Path, tmp_path: Path) -> None:
    script = """
      const note = page.querySelector(".printed");
      const seen = () => note.getClientRects().length ? note.textContent : "";
      const found = [seen()];
      page.querySelector(".further button").click();
      return [...found, seen()];
    """
    said = "25 of 1,040 items are printed; report.json has them all."
    assert ask(on_paper(large, tmp_path), script, tmp_path) == [said, ""]
    assert ask(large, script, tmp_path) == ["", ""]


def test_filtering_a_thousand_items_does_not_lag(large: Path, tmp_path: Path) -> None:
    script = """
      const form = page.querySelector(".filter");
      const items = page.querySelectorAll(".item").length;
      page.querySelector(".further button").click();
      const all = [...page.querySelectorAll(".item:not([hidden])")].length;
      form.elements.search.value = "warfarin";
      const start = performance.now();
      form.requestSubmit();
      page.body.getBoundingClientRect(); // lays the page out
      const visible = page.querySelectorAll(".item:not([hidden])").length;
      return { items, all, visible, took: performance.now() - start };
    """
    found = ask(large, script, tmp_path, real_time=True)
    assert found["items"] == found["all"] == 4 * 260
    assert found["visible"] == 172  # every sixth drug
    assert 0 < found["took"] < 500  # about 35 on a quiet machine

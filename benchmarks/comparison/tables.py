"""Results as tables: one set of cells, shown on the terminal and written as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from benchmarks.comparison import overhead
from benchmarks.comparison.arms import COMBINATIONS
from benchmarks.comparison.rows import mean_of
from forgetless.comparing.arms import JOINT
from forgetless.methods.groups import GROUPS

if TYPE_CHECKING:
    from rich.table import Table as RichTable

NONE = "–"
TIMES = "{:.2f}×"
FIGURES = ("average_accuracy", "learning_accuracy", "forgetting", "gap_closed")
LITTLE = 0.09  # largest share of rehearsed tokens that counts as 8%: rows are not divisible

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column is left-aligned, and others are unless they are figures."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: bool = True

    def markdown(self) -> str:
        """As Markdown."""
        rule = ["---", *("---:" if self.figures else "---" for _ in self.header[1:])]
        return "".join(f"| {' | '.join(line)} |\n" for line in (self.header, rule, *self.rows))

    def rich(self, title: str) -> RichTable:
        """For the terminal."""
        from rich import box
        from rich.table import Table as RichTable

        table = RichTable(title=title, box=box.SIMPLE_HEAD, title_justify="left")
        for number, name in enumerate(self.header):
            table.add_column(name, justify="right" if number else "left", no_wrap=True)
        for row in self.rows:
            table.add_row(*row)
        return table


def table(results: Mapping[str, Any]) -> Table:
    """The table of a setting's results."""
    return overheads(results) if results["setting"] in overhead.SETTINGS else comparison(results)


def section(results: Mapping[str, Any]) -> str:
    """Table, headline and failures as Markdown."""
    parts = [table(results).markdown(), headline(results)]
    if failed := failures(results):
        parts.append("Failed, and so not chosen:\n\n" + "".join(f"- {line}\n" for line in failed))
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def how_measured(results: Mapping[str, Any]) -> str:
    """When, how and with what, in a sentence or two."""
    packages = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    seeds, threads = len(results["seeds"]), results["threads"]
    many = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    if results["setting"] in overhead.SETTINGS:
        many = "medians, and the range in brackets"
    return (
        f"{results['date']}, `{results['command']}`: {many}. {results['machine']}, computed on "
        f"{results['device']} with {threads} thread{'s' * (threads > 1)} a run; {packages}."
    )


def comparison(results: Mapping[str, Any]) -> Table:
    """Arms in the order of the groups of methods; means over seeds, with the deviation."""
    arms: Sequence[Row] = results["arms"]
    finals = [run["final"] for row in arms for run in row["runs"] if "final" in run]
    tasks = list(finals[0]) if finals else []
    memory = any(mean_of(row, "memory") is not None for row in arms)
    header = ["methods", "old rows", *tasks, "average", "learned", "forgetting", "gap closed"]
    header += ["cost", *(["memory"] if memory else []), "rate, options"]
    order = [*GROUPS, COMBINATIONS]
    lines = []
    for row in sorted(arms, key=lambda row: order.index(row["group"])):
        cells = [_over_seeds(row, "final", task) for task in tasks]
        cells += [_over_seeds(row, figure) for figure in FIGURES]
        cells += [_over_seeds(row, "cost", form=TIMES)]
        cells += [_over_seeds(row, "memory", form=TIMES)] if memory else []
        lines.append([row["arm"], _old_rows(row), *cells, _point(row)])
    return Table(header, lines)


def _point(row: Row) -> str:
    """The rate and the options that an arm was reported with."""
    if row["rate"] is None:
        return "all failed"
    options = [
        f"{key.split('.')[1]} {value if isinstance(value, str) else format(value, 'g')}"
        for key, value in row["tuned"].items()
    ]
    return ", ".join([f"{row['rate']:g}", *options])


def _old_rows(row: Row) -> str:
    """What an arm needs of earlier tasks: nothing, or rows, and their share of the tokens."""
    if row["arm"] == JOINT:
        return "all"
    if not row["needs_old_rows"]:
        return "none"
    share = mean_of(row, "replay_share")
    return f"{share:.0%}" if share else "beside"


def _over_seeds(row: Row, *path: str, form: str = "{:.2f}") -> str:
    """Mean ± standard deviation over the runs of an arm; a dash unless all of them have it.

    Args:
        row: The arm.
        path: Where the figure stands in a run.
        form: How the mean is written; ratios are written without the deviation.
    """
    values = [_at(run, path) for run in row["runs"]]
    found = [value for value in values if value is not None]
    if not found or len(found) < len(values):
        return NONE
    text = form.format(fmean(found)).replace("-", "−")
    return f"{text} ± {stdev(found):.2f}" if form != TIMES and len(found) > 1 else text


def _at(run: Row, path: Sequence[str]) -> float | None:
    value: Any = run
    for key in path:
        value = value.get(key) if value is not None else None
    return None if value is None else float(value)


def headline(results: Mapping[str, Any]) -> str:
    """Who did best with few old rows, and who without any; nothing where only costs are known."""
    if results["setting"] in overhead.SETTINGS:
        return ""
    arms: Sequence[Row] = [row for row in results["arms"] if row["arm"] != JOINT]
    few = [row for row in arms if row["needs_old_rows"]
           and (mean_of(row, "replay_share") or 0.0) <= LITTLE]  # fmt: skip
    none = [row for row in arms if not row["needs_old_rows"]]
    parts = []
    for what, among in (
        ("With at most 8% of old tokens", few),
        ("Without old rows", none),
    ):
        scored = [(score, row) for row in among
                  if (score := mean_of(row, "average_accuracy")) is not None]  # fmt: skip
        if not scored:
            continue
        score, best = max(scored, key=lambda pair: pair[0])
        gap = mean_of(best, "gap_closed")
        closed = (
            "" if gap is None else f", {gap:.0%} of the gap to joint training".replace("-", "−")
        )
        parts.append(f"{what}, `{best['arm']}` ends best: average {score:.2f}{closed}.")
    return " ".join(parts)


def failures(results: Mapping[str, Any]) -> list[str]:
    """Every point at which a run failed, with the reason."""
    lines = []
    for row in results["arms"]:
        for point in row.get("searched", ()):
            if "failed" in point:
                options = "".join(f", {key} {value}" for key, value in point["tuned"].items())
                lines.append(f"{row['arm']} at {point['rate']:g}{options}: {point['failed']}")
        lines += [
            f"{row['arm']}, {'seed' if 'seed' in run else 'turn'} {run.get('seed', number)}: "
            f"{run['failed']}"
            for number, run in enumerate(row["runs"])
            if "failed" in run
        ]
    return lines


def overheads(results: Mapping[str, Any]) -> Table:
    """Time and memory of each arm relative to its peer, medians over turns; what is wanted."""
    lines = []
    for row in results["arms"]:
        wanted = row["wanted"] or [None, None]
        lines.append(
            [
                row["arm"],
                row["peer"],
                *(_times(row[name]) for name in ("stage", "training", "memory")),
                " / ".join(f"{bound:g}×" for bound in wanted if bound is not None) or NONE,
            ]
        )
    header = ["methods", "relative to", "whole stage", "steps alone", "memory", "wanted at most"]
    return Table(header, lines)


def _times(spread: Sequence[float] | None) -> str:
    """Median and range of a ratio."""
    if not spread:
        return NONE
    low, middle, high = spread
    return f"{middle:.2f}×" + (f" ({low:.2f} to {high:.2f})" if high > low else "")


def groups(methods: Iterable[tuple[str, str]]) -> Table:
    """The groups of methods, each method linked to its page with what it does.

    Args:
        methods: Name and one line on each method there is.
    """
    about = dict(methods)
    lines = []
    for group, (purpose, names) in GROUPS.items():
        there = [name for name in names if name in about]
        if there:
            said = "<br>".join(f"[`{name}`]({name}.md) {about[name]}" for name in there)
            lines.append([f"**{group}**: {purpose}", said])
    return Table(["group", "methods"], lines, figures=False)

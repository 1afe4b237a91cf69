"""Write the tables of docs/methods/index.md from the code and from what was measured.

Command: ``python -m benchmarks.comparison.page``; a test holds the page up to date.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.comparison import overhead, tables
from benchmarks.comparison.records import RESULTS, ROOT, kept
from forgetless.methods import METHODS

PAGE = ROOT / "docs" / "methods" / "index.md"
SETTINGS = ("tiny", "smollm2", *overhead.SETTINGS)


def page(text: str, results: Path = RESULTS) -> str:
    """The page with every generated part made anew; its own text stays.

    Args:
        text: The page as it is, with ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->`` around
            each generated part.
        results: Folder of the kept results.
    """
    about = [(name, (method.__doc__ or "").splitlines()[0]) for name, method in METHODS.items()]
    text = _replaced(text, "groups", tables.groups(about).markdown())
    for setting in SETTINGS:
        part = "Not measured yet.\n"
        if (results / f"{setting}.json").is_file():
            measured = kept(setting, results)
            part = f"{tables.how_measured(measured)}\n\n{tables.section(measured)}"
        text = _replaced(text, setting, part)
    return text


def _replaced(text: str, name: str, part: str) -> str:
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page has no {begin.strip()} ... {end.strip()}")
    return f"{before}{begin}\n{part}\n{end}{after}"


def write() -> None:
    """Bring the page up to date."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()

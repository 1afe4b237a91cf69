"""The pieces of Markdown that reports are made of, safe against what is put into them.

What a model wrote stands in code spans: there it cannot become markup, mention a person or refer to
an issue.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from forgetless.report.wording import ABSENT, clipped
from forgetless.showing import visible


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True) -> str:
    """A table; all columns but the first are aligned as numbers, unless told otherwise."""
    lines = [head, ["---", *["---:" if numbers else "---" for _ in head[1:]]], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def folded(title: str, body: str) -> str:
    """A block that opens on a click; its title must be safe already."""
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


def plain(text: str) -> str:
    """Text of ours or a name: nothing in it is markup, and no one is mentioned by it."""
    line = " ".join(visible(text).split())
    escaped = re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", line)
    return escaped.replace("@", "@<!-- -->").replace("://", ":<!-- -->//")


def code(text: str, most: int = 100) -> str:
    """Text of a model as a code span on one line, safe inside a table."""
    line = clipped(visible(text), most)
    if not line:
        return ABSENT
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    gap = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{gap}{line}{gap}{fence}".replace("|", "\\|")

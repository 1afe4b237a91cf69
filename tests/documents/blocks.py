"""The blocks of code in the documents, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CALL = re.compile(
    r"\s*(?:\$ |- )?(?:[a-z]+: )?(?:(?:torchrun|accelerate launch|python) .*-m )?forgetless (.+)"
)


@dataclass(frozen=True)
class Block:
    """A block of code; ``page`` and ``line`` say where it stands."""

    page: str
    line: int
    kind: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(str(page.relative_to(ROOT)), line, match[1].strip(), match[2]))
    return found


def lines(block: Block) -> list[str]:
    """The lines of a block; one that goes on is one line."""
    return re.sub(r"\\\n\s*", " ", block.text).splitlines()


def words(line: str) -> list[str] | None:
    """The arguments of a forgetless command, without comments; None for any other line."""
    said = CALL.match(line)
    if said is None:
        return None
    return shlex.split(re.split(r"\s{3,}|\s\|\|\s", said[1])[0], comments=True)


def commands(block: Block) -> list[list[str]]:
    """The arguments of every forgetless command in a block."""
    return [found for line in lines(block) if (found := words(line)) is not None]

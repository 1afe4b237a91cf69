"""What a case of the corpus is, and how it is carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Content = str | bytes | Callable[[Path], object]
"""A file's text or bytes, or what builds it (a folder, a link, a pipe) at its path."""


@dataclass(frozen=True)
class Case:
    """One bad input: what is put into the folder, what is typed there, and what must be said.

    In the folder are a tiny model (``model``), its adapter (``adapter``), data of two tasks
    (``a.jsonl``, ``b.jsonl``) and a plan that trains them (``plan.yaml``).

    Attributes:
        name: What is wrong, in a few words.
        command: What is typed after ``forgetless``; as a tuple where an argument holds a space.
        says: What the message must say: the place, and what was found there.
        fix: What the remedy on the line below must say.
        files: Name to what stands there, on top of the good files or in their place.
    """

    name: str
    command: str | tuple[str, ...]
    says: str
    fix: str = ""
    files: Mapping[str, Content] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        """The command, argument by argument."""
        return self.command.split() if isinstance(self.command, str) else list(self.command)

    def build(self, folder: Path) -> None:
        """Put its files into the folder."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink() or path.is_file():
                path.unlink()
            if callable(content):
                content(path)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())


def endless(path: Path) -> None:
    """A link to a device that never ends."""
    path.symlink_to("/dev/zero")

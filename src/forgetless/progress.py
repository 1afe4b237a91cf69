"""What a run tells whoever watches it; by default nobody does."""

from __future__ import annotations


class Progress:
    """Receives what happens; the terminal shows bars, the library stays silent."""

    def stage(self, run: str, name: str, number: int, last: int) -> None:
        """A stage begins: its name and number out of the last one's."""

    def model(self, label: str, number: int, last: int) -> None:
        """A model of an audit is asked: its label and number, from 1."""

    def runs(self, done: int, total: int) -> None:
        """Runs of a comparison: so many of those that can be told now are finished."""

    def points(self, doing: str, done: int, total: int) -> None:
        """Points of a repair: so many of those that are compared now were asked."""

    def working(self, what: str) -> None:
        """Something without steps begins, such as loading a model."""

    def trained(self, step: int, steps: int, loss: float) -> None:
        """An optimiser step was taken; ``loss`` in nats per learned token."""

    def scored(self, task: str, done: int, total: int) -> None:
        """Items of a task were scored."""

    def note(self, text: str) -> None:
        """Something the user should read."""

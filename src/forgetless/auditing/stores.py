"""Where the answers of an audit are kept."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from forgetless.evaluation.answers import AnswerStore
from forgetless.evaluation.subject import Subject
from forgetless.models.source import cache_folder


class Stores:
    """The store of answers by content, and the passing one of endpoints.

    What is behind an endpoint's name may change, so its answers are kept no longer than until the
    audit is done; one that was killed goes on from them.

    Args:
        store: Keep answers in the user's cache; or in this file; or not at all.
        folder: Where the passing store is; None keeps nothing of endpoints.
    """

    def __init__(self, store: bool | Path, folder: Path | None) -> None:
        place = cache_folder() / "answers.sqlite" if store is True else store or None
        self._lasting = AnswerStore(place)
        self._passing = AnswerStore(folder / "answers.part.sqlite" if folder and store else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lasting.close()
        self._passing.close()

    def of(self, subject: Subject) -> AnswerStore:
        """The store for the answers of a model."""
        return self._passing if subject.kind == "endpoint" else self._lasting

    def done(self) -> None:
        """The audit has all that it needs: what was kept for going on with it goes."""
        self._passing.close(delete=True)

"""Ctrl-C and SIGTERM stop a command where it is; a second one ends the process at once."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Turns signals into a ``KeyboardInterrupt`` and remembers which one it was."""

    def __init__(self) -> None:
        self._asked = signal.SIGINT
        self._before: dict[signal.Signals, Any] = {}

    @property
    def exit_code(self) -> int:
        """What a shell says of a process that the signal ended: 130 or 143."""
        return 128 + self._asked

    def listen(self) -> None:
        """Hear the signals from now on, but for those that whoever started us has turned off."""
        for one in SIGNALS:
            if signal.getsignal(one) is not signal.SIG_IGN:
                self._before[one] = signal.signal(one, self._heard)

    def leave(self) -> None:
        """Put things back as they were."""
        for one, before in self._before.items():
            signal.signal(one, before)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self._asked = signal.Signals(number)
        for one in SIGNALS:
            signal.signal(one, signal.SIG_DFL)
        raise KeyboardInterrupt

"""A setting of the benchmark, as the command line and the results file call it."""

from __future__ import annotations

from dataclasses import dataclass

from forgetless.comparing.settings import Setting


@dataclass(frozen=True, kw_only=True)
class NamedSetting(Setting):
    """A setting with a name.

    Attributes:
        name: How the command line and the results file call it.
        title: What is measured, in a few words.
    """

    name: str
    title: str

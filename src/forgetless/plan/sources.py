"""Where models and rows come from, as a plan spells it."""

from __future__ import annotations

import re

BUNDLED = "bundled:"
BUILTIN = "builtin:"  # the same; what earlier versions wrote with --task
HUB = "hub:"
HUB_NAME = re.compile(r"(?:\w[\w.-]*/)?\w[\w.-]*", re.ASCII)  # of a model or dataset
ENDPOINT = "openai:"  # a model that a provider keeps
DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
METHOD_SOURCES = ("general", "calibration")  # options of methods that name a source of rows


def hub_dataset(source: str) -> tuple[str, str | None]:
    """Name and revision, if one is given, of ``hub:NAME`` or ``hub:NAME@REVISION``."""
    name, _, revision = source.removeprefix(HUB).partition("@")
    return name, revision or None

"""The names of what a run leaves on disk, for all who write there or read it."""

from __future__ import annotations

from pathlib import Path

PLAN = "plan.yaml"
MANIFEST = "manifest.json"
MATRIX = "matrix.json"
HOLDER = ".lock.json"
"""Who holds the lock that is beside it."""

SCORES, ANSWERS = "scores.jsonl", "answers.jsonl"
ASKED = (SCORES, ANSWERS)
"""Files of a stage; both are there once it is scored."""
WEIGHTS = ("model", "adapter")
"""Subfolders of a stage, one of which holds what was trained."""
BEGUN_WITH = "fingerprint"
"""Beside a stage's checkpoints, and there before them: what the stage is trained on."""

REPAIR = "repair.json"
"""What a repair came to, in the folder of its model."""


def stage_name(number: int, *new: str) -> str:
    """Name of a stage: its number, and which tasks it is the first to train.

    >>> stage_name(0), stage_name(1, "medical"), stage_name(1, "medical", "law")
    ('0-base', '1-medical', '1-joint')
    """
    return f"{number}-{new[0] if len(new) == 1 else 'joint' if new else 'base'}"


def stage_folder(run: Path, name: str) -> Path:
    """Where a run keeps a stage."""
    return run / "stages" / name

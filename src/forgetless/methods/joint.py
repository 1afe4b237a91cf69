"""Training on all tasks at once: the upper bound of every comparison.

Source: the reference model of Chaudhry et al. 2018 (arXiv 1801.10112), section 4.2, is trained on
the union of all tasks seen so far; ``cumulative: true`` trains exactly that for every stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from forgetless.layout import stage_name
from forgetless.methods.base import Method
from forgetless.methods.stage import Stage
from forgetless.plan import Config


class JointConfig(Config):
    """Options of joint training."""

    cumulative: bool = Field(
        False,
        description="retrain from the untouched model on tasks 1..k for every stage k, instead of "
        "once on all tasks",
    )


class Joint(Method[JointConfig]):
    """Train the untouched model on the union of the tasks."""

    name = "joint"
    needs_weights = ""
    only_in_runs = "train it on all your datasets together instead"
    Config = JointConfig
    excludes_sharding = ""
    excludes = {  # noqa: RUF012 - declared once, never changed
        "replay": "joint training already has every old row in every epoch",
        "sequential": "one bound at a time",
    }

    def stages(self, stages: Sequence[Stage]) -> list[Stage]:
        """One stage on everything, or one on tasks 1..k for every k."""
        if self.config.cumulative:
            return [
                replace(stage, tasks=(*stage.earlier, *stage.tasks), earlier=(), from_base=True)
                for stage in stages
            ]
        everything = tuple(task for stage in stages for task in stage.tasks)
        name = stage_name(1, "joint")
        return [replace(stages[0], name=name, tasks=everything, earlier=(), from_base=True)]

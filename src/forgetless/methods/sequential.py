"""Plain fine-tuning on one task after another: the lower bound of every comparison."""

from __future__ import annotations

from forgetless.methods.base import Method
from forgetless.methods.stage import Stage
from forgetless.plan import Config


class SequentialConfig(Config):
    """No options."""


class Sequential(Method[SequentialConfig]):
    """Do nothing against forgetting."""

    name = "sequential"
    Config = SequentialConfig
    excludes_sharding = ""
    needs_weights = ""

    def acts_in(self, stage: Stage) -> bool:
        """Never: it is the absence of a method."""
        return False

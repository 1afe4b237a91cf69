"""Setting *smollm2*: a real model of 135M parameters; medical shorthand, then law.

The plan is that of ``forgetless demo``, in which plain training collapses, with twice the test
items: half of them, by lot, choose an arm's rate and options, and the rest are reported.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

from benchmarks.comparison.settings import NamedSetting


def prepare(seed: int) -> dict[str, Any]:
    """The plan's settings."""
    text = (files("forgetless") / "demo.yaml").read_text(encoding="utf-8")
    plan: dict[str, Any] = yaml.safe_load(text)
    for part in ("methods", "ask"):
        del plan[part]
    for task in (*plan["sequence"], *plan["test_only"]):
        task["limit"] *= 2
    del plan["training"]["learning_rate"]
    # An unfinished run is begun anew, so that what it cost is known; checkpoints would be waste.
    plan["training"] |= {"seed": seed, "checkpoint_every": 100_000}
    return plan


SMOLLM2 = NamedSetting(
    name="smollm2",
    title="SmolLM2-135M-Instruct: medical shorthand, then legal prose",
    prepare=prepare,
    rates=(2.5e-4, 5e-4, 1e-3),
    search_seeds=(0,),
    seeds=(0,),
    split_items=True,
    options={"self_replay": {"max_new_tokens": 96}, "on_policy_replay": {"max_new_tokens": 64}},
    fresh=True,
)

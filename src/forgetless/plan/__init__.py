"""The plan: model, sequence of tasks, methods, training settings; validated before anything loads.

A plan is written as YAML or built in Python; both end in the same frozen :class:`Plan`.  Unknown
keys are refused with the nearest valid one.  Options of methods are checked by
``forgetless.methods``, which knows them.  The resolved plan, every default written out, is saved
with the results.
"""

from __future__ import annotations

from forgetless.plan.base import Config
from forgetless.plan.budget import BudgetConfig
from forgetless.plan.file import load_plan
from forgetless.plan.hosted import HostedConfig, Prices
from forgetless.plan.model import ModelConfig
from forgetless.plan.nearby import meant, near_path
from forgetless.plan.plan import AUTO, MethodSpec, Plan
from forgetless.plan.shares import as_share
from forgetless.plan.sources import BUNDLED, DATA_SUFFIXES, ENDPOINT, HUB, HUB_NAME, hub_dataset
from forgetless.plan.task import Rendering, Scorer, TaskConfig
from forgetless.plan.training import TrainingConfig
from forgetless.plan.validation import Fault, check_counts, make_part, make_plan, nearest

__all__ = [
    "AUTO",
    "BUNDLED",
    "DATA_SUFFIXES",
    "ENDPOINT",
    "HUB",
    "HUB_NAME",
    "BudgetConfig",
    "Config",
    "Fault",
    "HostedConfig",
    "MethodSpec",
    "ModelConfig",
    "Plan",
    "Prices",
    "Rendering",
    "Scorer",
    "TaskConfig",
    "TrainingConfig",
    "as_share",
    "check_counts",
    "hub_dataset",
    "load_plan",
    "make_part",
    "make_plan",
    "meant",
    "near_path",
    "nearest",
]

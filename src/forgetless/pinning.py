"""A plan whose names on the hub mean the same tomorrow: branches replaced by their commits."""

from __future__ import annotations

from typing import Any

from forgetless.models.hub import commit_of
from forgetless.models.source import find_model
from forgetless.plan import HUB, MethodSpec, ModelConfig, Plan, TaskConfig, hub_dataset


def pinned(plan: Plan) -> Plan:
    """The plan with the commit of every model and dataset that it takes from the hub.

    What cannot be resolved, because there is no network and no copy, stays as it is.

    Raises:
        ModelError: if the model's name is a path to something that is no model.
    """
    return plan.model_copy(
        update={
            "model": plan.model if plan.hosted else _model(plan.model),
            "sequence": tuple(_task(task) for task in plan.sequence),
            "test_only": tuple(_task(task) for task in plan.test_only),
            "methods": tuple(_method(spec) for spec in plan.methods),
        }
    )


def _model(model: ModelConfig) -> ModelConfig:
    source = find_model(model)
    base = source.base or source
    if base.kind != "hub":
        return model
    commit = commit_of(base.location, model.revision)
    return model.model_copy(update={"revision": commit or model.revision})


def _task(task: TaskConfig) -> TaskConfig:
    return task.model_copy(update={"train": _source(task.train), "test": _source(task.test)})


def _method(spec: MethodSpec) -> MethodSpec:
    options = {name: _source(value) for name, value in spec.options.items()}
    return spec.model_copy(update={"options": options})


def _source(value: Any) -> Any:
    """``hub:NAME`` or ``hub:NAME@BRANCH`` as ``hub:NAME@COMMIT``; anything else as it is."""
    if not isinstance(value, str) or not value.startswith(HUB):
        return value
    name, revision = hub_dataset(value)
    commit = commit_of(name, revision, "dataset")
    return f"{HUB}{name}@{commit}" if commit else value

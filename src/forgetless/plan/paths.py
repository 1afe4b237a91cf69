"""Paths of a plan file mean what they mean from its folder."""

from __future__ import annotations

from pathlib import Path

from forgetless.errors import PlanError
from forgetless.plan.plan import MethodSpec, Plan
from forgetless.plan.sources import (
    BUNDLED,
    DATA_SUFFIXES,
    ENDPOINT,
    HUB,
    HUB_NAME,
    METHOD_SOURCES,
)
from forgetless.plan.task import TaskConfig


def anchored(plan: Plan, folder: Path) -> Plan:
    """The plan with local paths made absolute, so that it means the same from anywhere."""

    def source(text: str | None) -> str | None:
        if text is None or text.startswith((BUNDLED, HUB)):
            return text
        local, there = _place(folder, text)
        named = "/" in text and HUB_NAME.fullmatch(text) is not None
        is_file = there or local.suffix.lower() in DATA_SUFFIXES
        return HUB + text if named and not is_file else str(local)

    def task(config: TaskConfig) -> TaskConfig:
        return config.model_copy(
            update={"train": source(config.train), "test": source(config.test)}
        )

    def method(spec: MethodSpec) -> MethodSpec:
        named = {key: spec.options[key] for key in METHOD_SOURCES if key in spec.options}
        sources = {key: source(text) for key, text in named.items() if isinstance(text, str)}
        return spec.model_copy(update={"options": spec.options | sources})

    def model(text: str) -> str:
        local, there = _place(folder, text)
        return str(local) if there else text

    name = plan.model.name
    if not name.startswith((BUNDLED, ENDPOINT)):
        name = model(name)
    hosted = plan.hosted
    if hosted is not None and hosted.tokenizer is not None:
        hosted = hosted.model_copy(update={"tokenizer": model(hosted.tokenizer)})
    return plan.model_copy(
        update={
            "model": plan.model.model_copy(update={"name": name}),
            "sequence": tuple(task(config) for config in plan.sequence),
            "test_only": tuple(task(config) for config in plan.test_only),
            "methods": tuple(method(spec) for spec in plan.methods),
            "hosted": hosted,
            "output": str(_place(folder, plan.output)[0]),
        }
    )


def _place(folder: Path, text: str) -> tuple[Path, bool]:
    """Where a path of the plan leads, and whether anything is there."""
    try:
        if "\x00" in text:
            raise ValueError("it contains a NUL character")
        local = folder / Path(text).expanduser()
        return local, local.exists()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PlanError(
            f"the path {text[:80]!r} cannot be used: {reason}", fix="name another"
        ) from None

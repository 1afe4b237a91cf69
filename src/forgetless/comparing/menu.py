"""Arms by their names on a command line, and what is tuned of each method."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from forgetless.comparing.arms import JOINT, SEQUENTIAL, Arm
from forgetless.errors import UsageError
from forgetless.methods.compose import Compose
from forgetless.plan import MethodSpec

STRENGTHS: Mapping[str, tuple[str, tuple[Any, ...]]] = {
    "kl": ("strength", (0.25, 1.0, 4.0)),
    "der": ("alpha", (0.1, 0.5, 2.5)),
    "ewc": ("strength", (0.1, 1.0, 10.0)),
    "l2sp": ("strength", (0.001, 0.01, 0.1)),
    "si": ("strength", (0.1, 1.0, 10.0)),
    "agem": ("rows", (4, 8, 16)),
    "ogd": ("energy", (0.8, 0.95, 0.99)),
    "ema": ("decay", (0.9, 0.97, 0.99)),
    "sfa": ("weight", (0.25, 0.5, 0.75)),
    "merge": ("alpha", (0.4, 0.6, 0.8)),
    "olora": ("strength", (0.1, 0.5, 2.5)),
    "osf": ("share", (0.25, 0.5, 0.75)),
}
"""Of each method with a strength: its option, and the values tried, weakest first."""

DEFAULT = ("replay", "self_replay", "ewc", "replay+kl", "replay+ewc", "lora+replay")
"""What is compared where nothing is named."""

_ARMS = re.compile(r",(?![^()]*\))")  # commas outside of brackets
_PARTS = re.compile(r"\+(?![^()]*\))")
_METHOD = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(?:\((.*)\))?\s*", re.DOTALL)


def bounds() -> tuple[Arm, Arm]:
    """Plain sequential training and joint training."""
    return Arm(SEQUENTIAL, {}), Arm(JOINT, {"joint": {}})


def arms_named(text: str, *, rates_alone: bool = False) -> list[Arm]:
    """The arms of ``a, b+c, d(option=1)+e``.

    Args:
        text: Arms between commas, their methods between plus signs; an option that is given is
            not tuned.
        rates_alone: Tune learning rates only; strengths are in the middle of their grid.

    Raises:
        UsageError: for a text that cannot be read, an unknown method or option, methods that
            cannot be combined, or an arm that is named twice, however it is written.

    Example:
        >>> [arm.name for arm in arms_named("replay(ratio=0.2), ewc + replay")]
        ['replay(ratio=0.2)', 'ewc + replay']
        >>> dict(arms_named("ewc")[0].searched)
        {'ewc.strength': (0.1, 1.0, 10.0)}
    """
    arms = [_arm(part, rates_alone) for part in _ARMS.split(text) if part.strip()]
    if not arms:
        raise UsageError("--methods names none", fix="--methods 'replay, ewc+replay'")
    for arm, other in itertools.combinations(arms, 2):
        if same(arm, other):
            also = "" if arm.name == other.name else f", also as {other.name}"
            raise UsageError(f"--methods: {arm.name} is named twice{also}", fix="name it once")
    return [arm for arm in arms if arm.name not in (SEQUENTIAL, JOINT)]  # always there


def arm_named(text: str) -> Arm:
    """A single arm, ``a + b(option=1)``; it may be a bound.

    Raises:
        UsageError: as in :func:`arms_named`.
    """
    return _arm(text, rates_alone=True)


def arm_of_plan(specs: Sequence[MethodSpec]) -> Arm | None:
    """The methods of a plan as they are, as an arm of their own; None if it has none."""
    if not specs:
        return None
    return Arm(
        f"plan: {Compose.from_plan(specs).label}", {spec.name: spec.options for spec in specs}
    )


def same(arm: Arm, other: Arm) -> bool:
    """Whether two arms train the same at every point of their grids, however they are written."""
    ours, theirs = _grid(arm), _grid(other)
    return len(ours) == len(theirs) and all(point in theirs for point in ours)


def _grid(arm: Arm) -> list[list[tuple[str, Any]]]:
    """By point at any one rate, the methods with all their options, defaults filled in."""
    return [
        [(method.name, method.config) for method in Compose.from_plan(_specs(methods)).methods]
        for methods in (arm.plan(point, {}) for point in arm.candidates([1.0]))
    ]


def _specs(methods: Sequence[Mapping[str, Any]]) -> list[MethodSpec]:
    return [MethodSpec.model_validate(method) for method in methods]


def _arm(text: str, rates_alone: bool) -> Arm:
    methods: dict[str, dict[str, Any]] = {}
    names: list[str] = []
    for part in _PARTS.split(text):
        found = _METHOD.fullmatch(part)
        if found is None:
            raise UsageError(
                f"--methods: cannot read {part.strip()!r}",
                fix="write  name  or  name(option=value), joined by '+', arms between commas",
            )
        name, options = found[1], found[2]
        if name == SEQUENTIAL:
            continue
        if name in methods:
            raise UsageError(f"--methods: {text.strip()} names {name} twice")
        methods[name] = _options(name, options)
        names.append(f"{name}({options})" if options else name)
    Compose.from_plan([MethodSpec(name=name, options=own) for name, own in methods.items()])
    return Arm(" + ".join(names) or SEQUENTIAL, methods, _searched(methods, rates_alone))


def _options(name: str, text: str | None) -> dict[str, Any]:
    try:
        pairs = [pair.split("=", 1) for pair in (text or "").split(",") if pair.strip()]
        return {key.strip(): yaml.safe_load(value) for key, value in pairs}
    except (ValueError, RecursionError, yaml.YAMLError):
        raise UsageError(
            f"--methods: cannot read the options {(text or '')[:80]!r} of {name}",
            fix=f"write  {name}(option=value, ...)",
        ) from None


def _searched(
    methods: Mapping[str, Mapping[str, Any]], rates_alone: bool
) -> dict[str, tuple[Any, ...]]:
    grids: Iterable[tuple[str, tuple[str, tuple[Any, ...]]]] = (
        (name, STRENGTHS[name]) for name in methods if name in STRENGTHS
    )
    return {
        f"{name}.{option}": (values[len(values) // 2],) if rates_alone else values
        for name, (option, values) in grids
        if option not in methods[name]
    }

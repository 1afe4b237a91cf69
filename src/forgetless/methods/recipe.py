"""``methods: auto``: what the measurements recommend, by what a plan has.

Of the arms in docs/methods, replay with EWC keeps most at 1.15 times the tokens of plain training;
where no older rows are at hand, rows that the model writes itself take their place.  The figures
and the command that gives them again are in docs/budget.md.
"""

from __future__ import annotations

from forgetless.errors import PlanError
from forgetless.plan import AUTO, MethodSpec, Plan

REHEARSED = 0.13
"""Share of a stage's tokens: 1 / (1 - 0.13) = 1.15 times those of plain training."""

OLD, OWN = 0.08, 0.05
"""The same, where old rows and the model's own are both rehearsed."""


def resolved_methods(plan: Plan) -> tuple[MethodSpec, ...]:
    """A plan's methods, ``auto`` replaced by the methods that it stands for.

    Raises:
        PlanError: if other methods are named beside it.
    """
    names = [spec.name for spec in plan.methods]
    if AUTO not in names:
        return plan.methods
    if len(names) > 1:
        raise PlanError(
            f"methods: auto stands for all of them, and {', '.join(names)} are named",
            fix="methods: auto, or name methods without it",
        )
    if plan.hosted is not None:  # rehearsal is the one protection that needs no weights
        return (_rehearse("replay", REHEARSED),) if len(plan.sequence) > 1 else ()
    ewc = MethodSpec(name="ewc", options={"strength": 1.0})
    if len(plan.sequence) == 1:
        return (_rehearse("self_replay", REHEARSED),)
    if plan.budget is not None and plan.test_only:
        return (_rehearse("replay", OLD), _rehearse("self_replay", OWN), ewc)
    return (_rehearse("replay", REHEARSED), ewc)


def _rehearse(name: str, ratio: float) -> MethodSpec:
    return MethodSpec(name=name, options={"ratio": ratio})

"""Which arm to take, in words that say what they rest on."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.comparing.arms import JOINT, SEQUENTIAL
from forgetless.comparing.result import ArmResult, within_budget
from forgetless.metrics import Figure, items_needed

ABOUT_AS_CHEAP = 1.02
"""Arms that cost up to so many times as much as the cheapest cost the same: timing has noise."""


def recommend(
    arms: Sequence[ArmResult], *, seeds: int = 1, budget: str = "", items: int = 0
) -> tuple[str | None, list[str]]:
    """Choose among the arms; with a budget, among those within it, if there are any.

    Of those that are no worse than the best one for certain, the cheapest that is better than plain
    training for certain; of those that cost the same, the best.  None, if no such one is better.
    To keep a budget that plain training breaks is better, if the difference is no luck, and goes
    before a gain.  Where none keeps it, none is taken that is further beyond it than the best one.

    Args:
        arms: All arms, the bounds among them.
        seeds: Training seeds that the figures rest on.
        budget: The loss that is accepted, in words; empty without a budget.
        items: Items of all trained tasks that the figures rest on; 0 if that is not known.

    Returns:
        Name of the arm, and why.
    """
    rest = [a for a in arms if a.name not in (SEQUENTIAL, JOINT) and a.accuracy.value is not None]
    if not rest:
        return None, ["No protection could be measured, so none can be recommended."]
    within = [arm for arm in rest if within_budget(arm.over_budget)]
    pool = within or rest
    best = max(pool, key=lambda arm: arm.accuracy.value or 0.0)
    equals = [arm for arm in pool if arm is best or not _below(arm.to_best)]
    if budget and not within:  # what is cheaper must not be further beyond it
        equals = [arm for arm in equals if _beyond(arm) <= _beyond(best)]
    plain = next((arm for arm in arms if arm.name == SEQUENTIAL), None)
    alone = bool(within) and plain is not None and _breaks_budget(plain)
    sure = [arm for arm in equals if alone and _above(arm.nearer)]
    better = sure or [arm for arm in equals if _above(arm.gain)]
    eligible = better or equals  # cheap, and no better than nothing: that is no recommendation
    least = min(map(_price, eligible))
    cheap = [arm for arm in eligible if _price(arm) <= ABOUT_AS_CHEAP * least]
    chosen = max(cheap, key=lambda arm: arm.accuracy.value or 0.0)
    why = [_better(chosen, items, keeps=bool(sure)), *_kept(chosen, within, budget)]
    if alone and not sure:
        nearer = chosen.nearer
        beside = "" if nearer.value is None else f" ({_signed(nearer)} nearer to it)"
        why.append(
            f"That {chosen.name} kept the budget on these items, and plain training did not, may "
            f"be luck{beside}."
        )
    if chosen is not best:
        if _price(best) > _price(chosen):
            but = "costs more"
        elif _above(best.gain):
            but = "may have kept the budget by luck"
        else:
            but = "may be no better than plain training"
        why.append(
            f"{best.name} ended at {best.accuracy.value:.2f} against {chosen.accuracy.value:.2f}, "
            f"which these items cannot tell apart, and {but}."
        )
    useless = [arm.name for arm in rest if not _above(arm.gain)]
    if useless and _above(chosen.gain):
        why.append(f"Not better than plain training for certain: {', '.join(useless)}.")
    if chosen.elsewhere.value is not None and _below(chosen.elsewhere):
        other = None if plain is None else plain.elsewhere.value
        beside = "" if other is None else f" (plain training: {0.0 - other:.2f})"
        why.append(
            f"It lost {-chosen.elsewhere.value:.2f} on the tasks that are only tested{beside}."
        )
    if plain is not None and plain.forgetting.interval and not _above(plain.forgetting):
        why.append(
            "Plain training did not measurably forget what it had learned "
            f"({_signed(plain.forgetting)}): there was little to protect."
        )
    edge = [arm.name for arm in arms if arm.at_edge]
    if edge:
        why.append(
            f"The best learning rate of {', '.join(edge)} is at the edge of those tried; "
            "a better one may lie beyond (--rates)."
        )
    why.append(_rests_on(chosen, seeds))
    return (chosen.name if better else None), why


def _kept(chosen: ArmResult, within: Sequence[ArmResult], budget: str) -> list[str]:
    """What the budget has to do with it."""
    if not budget:
        return []
    over = chosen.over_budget
    if within:
        told = f"Within the budget of {budget} on these items: {', '.join(a.name for a in within)}."
    elif over.value is None:
        told = f"Nothing can be said of the budget of {budget}: {over.reason}."
    else:
        told = (
            f"No protection kept the budget of {budget} on these items; {chosen.name} lost "
            f"{over.value:.2f} more than it on one task."
        )
    return [
        f"{told} No run here was steered by the budget: forgetless run does that, and gives up "
        "learning for it where it must."
    ]


def _rests_on(arm: ArmResult, seeds: int) -> str:
    if seeds == 1:
        return (
            "This rests on 1 training seed: the intervals are over items, and say nothing of what "
            "another seed would give."
        )
    ends = sorted(arm.by_seed.values())
    between = f", from {ends[0]:.2f} to {ends[-1]:.2f} for {arm.name}" if ends else ""
    return (
        f"This rests on {seeds} training seeds, none of which chose{between}: the intervals are "
        "over items, of the mean over these seeds."
    )


def _better(arm: ArmResult, items: int, *, keeps: bool) -> str:
    gain, closed = arm.gain, arm.gap_closed
    if not _above(gain) and keeps:
        beside = "" if gain.value is None else f", and ends {_signed(gain)} beside it on average"
        return (
            f"Take {arm.name}{_rate(arm)}: it kept the budget on these items, as plain training "
            f"did not ({_signed(arm.nearer)} nearer to it){beside}."
        )
    if not _above(gain):
        value = "" if gain.value is None else f" ({_signed(gain)})"
        return (
            f"No protection is better than plain training for certain; the nearest is {arm.name}"
            f"{value}{_would_decide(gain, items)}."
        )
    gap = "" if closed.value is None else f", {closed.value:.0%} of the way to joint training"
    cost = "" if arm.cost is None else f", at {arm.cost:.2f} times its cost"
    return (
        f"Take {arm.name}{_rate(arm)}: it ends {_signed(gain)} above plain training on average"
        f"{gap}{cost}."
    )


def _would_decide(gain: Figure, items: int) -> str:
    """How many items would show a gain that is above 0 as it was found."""
    if not items or gain.value is None or gain.value <= 0:
        return ""
    needed = items_needed(gain, 0.0, items)
    return f"; about {needed:,} items would decide, these figures rest on {items:,}"


def _rate(arm: ArmResult) -> str:
    return "" if arm.rate is None else f" at learning rate {arm.rate:g}"


def _signed(figure: Figure) -> str:
    limits = figure.interval
    ends = "" if limits is None else f" ({limits.low:+.2f} to {limits.high:+.2f})"
    return f"{figure.value:+.2f}{ends}".replace("-", "\N{MINUS SIGN}")


def _above(figure: Figure) -> bool:
    return figure.interval is not None and figure.interval.low > 0


def _below(figure: Figure) -> bool:
    return figure.interval is not None and figure.interval.high < 0


def _breaks_budget(arm: ArmResult) -> bool:
    return arm.over_budget.value is not None and not within_budget(arm.over_budget)


def _beyond(arm: ArmResult) -> float:
    return float("inf") if arm.over_budget.value is None else arm.over_budget.value


def _price(arm: ArmResult) -> float:
    return float("inf") if arm.cost is None else arm.cost

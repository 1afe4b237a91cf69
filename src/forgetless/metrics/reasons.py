"""Why a verdict is what it is: one plain sentence with the figures that decided."""

from __future__ import annotations

from forgetless.metrics.floor import Floor
from forgetless.metrics.lenient import LENIENT
from forgetless.metrics.scores import ROUNDING
from forgetless.metrics.verdict import TaskVerdict

MINUS = "\N{MINUS SIGN}"


def explain(
    task: TaskVerdict,
    *,
    floor: Floor | None = None,
    level: float = 0.95,
    most_missing: float = 0.0,
    describe: bool = False,
) -> str:
    """The reason of a verdict, in small letters and without a full stop.

    Args:
        task: All but its reason.
        floor: Why it is at floor, if it is.
        level: Confidence level of the interval and the tests.
        most_missing: Share of items without an answer that was accepted.
        describe: Whether the task is described, and not held against its budget.
    """
    if task.verdict == "failed":
        return _failed(task, most_missing)
    if floor:
        said = _floor(task, floor)
    elif task.verdict == "lost":
        said = _lost(task)
    elif task.verdict == "inconclusive":
        said = _inconclusive(task, level)
    else:
        said = _kept(task, level, describe=describe)
        if task.verdict == "at ceiling":
            said += "; too easy for both models to show a small loss"
    if task.missing:
        said += f"; {_items(task.missing)} without an answer left out"
    return said


def _failed(task: TaskVerdict, most_missing: float) -> str:
    asked = task.items + task.missing
    if not asked:
        return "no item was asked"
    if not task.items:
        return f"none of {_items(asked)} was answered by both models"
    return (
        f"{task.missing:,} of {_items(asked)} ({task.missing / asked:.1%}) were not answered by "
        f"both models, more than the {most_missing:.1%} accepted"
    )


def _lost(task: TaskVerdict) -> str:
    said = _fell(task)
    excess = task.excess_losses
    if excess is not None:
        said += f"; about {max(round(excess), 0):,} losses more than it has by itself"
    if task.nature == "format":
        return f"{said}; the form of its answers was lost, not the knowledge ({_readings(task)})"
    if task.nature == "knowledge":
        return f"{said}; not only the form of its answers was lost ({_readings(task)})"
    return said


def _fell(task: TaskVerdict) -> str:
    beyond = -(task.change.value or 0.0) > task.budget + ROUNDING
    more = f", more than the budget of {_number(task.budget)}" if beyond else ""
    return (
        f"fell {_from_to(task)}, a loss of {_loss(task)}{_limits(task)}{more}{_flips(task)}, "
        f"{_p(task)}"
    )


def _kept(task: TaskVerdict, level: float, *, describe: bool) -> str:
    assert task.change.value is not None
    p = task.p_adjusted if describe else task.p_value
    assert p is not None
    if task.change.value > 0 and p <= 1 - level:
        return f"improved {_from_to(task)}{_limits(task)}{_flips(task)}"
    if task.change.interval is None:
        return f"{_number(task.before.value)} before and after, and not one item changed"
    upper = -task.change.interval.low
    within = f"at most {_number(max(upper, 0.0))} lost{_limits(task)}, within the budget of "
    within += _number(task.budget)
    if task.change.value < 0 and p <= 1 - level:
        return f"fell {_from_to(task)}, which is real but small: {within}{_flips(task)}"
    return f"{_both(task)}: {within}{_flips(task)}"


def _inconclusive(task: TaskVerdict, level: float) -> str:
    assert task.change.value is not None
    assert task.p_adjusted is not None
    budget = _number(task.budget)
    needed = ""
    if task.items_needed is not None:
        needed = f"; about {_items(task.items_needed)} would decide, here are {task.items:,}"
    if -task.change.value > task.budget + ROUNDING:
        return (
            f"fell {_from_to(task)}, a loss of {_loss(task)}{_limits(task)} that chance could "
            f"explain{_flips(task)}, {_p(task)}{needed}"
        )
    if task.change.interval is None:
        return f"{_both(task)}, and how sure that is cannot be said: {task.change.reason}"
    upper = _number(-task.change.interval.low)
    if -task.change.interval.low <= task.budget + ROUNDING:
        return (
            f"{_both(task)}{_limits(task)}, which is within the budget of {budget}{_flips(task)}; "
            f"not for certain if {_items(task.missing)} without an answer had been lost"
        )
    if task.change.value < 0 and task.p_adjusted <= 1 - level:
        return (
            f"fell {_from_to(task)}, which is real, but it may be within the budget of {budget} "
            f"or, with up to {upper}, beyond it{_limits(task)}{_flips(task)}{needed}"
        )
    return (
        f"{_both(task)}, but a loss of up to {upper} cannot be excluded{_limits(task)}, and the "
        f"budget is {budget}{_flips(task)}{needed}"
    )


def _floor(task: TaskVerdict, floor: Floor) -> str:
    before = _number(task.before.value)
    if task.rose_from_floor:
        return (
            f"rose {_from_to(task)}{_limits(task)}{_flips(task)}; the model before had too little "
            f"to lose for a loss to be seen{_within(task)}"
        )
    if floor == "guessing":
        said = (
            f"{before} before, where guessing scores {_number(task.chance)}: on "
            f"{_items(task.items)} too near to it to be sure that anything was known"
        )
        if task.verdict == "inconclusive":
            return f"{said}, but {_fell(task)}: see its answers"
        after = task.after.interval
        if after is not None and task.chance is not None and after.high < task.chance:
            return (
                f"{said}; {_number(task.after.value)} after is worse than guessing: see its answers"
            )
        return f"{said}, so no loss can be seen"
    if floor == "few right":
        few = f"so few of {_items(task.items)} are right that no loss can be seen"
        return f"{before} before: {few}{_within(task)}"
    above = "" if not task.chance else f", where guessing scores {_number(task.chance)}"
    return (
        f"{before} before{above}: there is no more to lose than the budget of "
        f"{_number(task.budget)}, so no loss can be seen"
    )


def _within(task: TaskVerdict) -> str:
    """That answers contain what was asked for, where the score does not see it."""
    reading = task.readings.get("contains")
    if reading is None or reading.before.value is None or task.before.value is None:
        return ""
    if reading.before.value <= task.before.value + task.budget:
        return ""
    return f"; but {_number(reading.before.value)} contain the answer: score  contains  sees those"


def _from_to(task: TaskVerdict) -> str:
    nats = " nats per token" if task.unit == "nats" else ""
    return f"from {_number(task.before.value)} to {_number(task.after.value)}{nats}"


def _both(task: TaskVerdict) -> str:
    nats = " nats per token" if task.unit == "nats" else ""
    return f"{_number(task.before.value)} before and {_number(task.after.value)} after{nats}"


def _loss(task: TaskVerdict) -> str:
    return _number(task.change.turned().value)


def _limits(task: TaskVerdict) -> str:
    limits = task.change.interval
    if limits is None:
        return ""
    return f" ({limits.level:.0%} limits of the change {_signed(limits.low)} to " + (
        f"{_signed(limits.high)})"
    )


def _flips(task: TaskVerdict) -> str:
    if task.flips is None:
        return f"; {_items(task.items)}"
    lost, gained = len(task.flips.lost), len(task.flips.gained)
    said = f"; {lost:,} lost and {gained:,} gained of {_items(task.items)}"
    if task.null is not None:
        own = task.null
        said += f" (the model before itself, {own.how or 'asked otherwise'}: {_mean(own.lost)} "
        said += f"and {_mean(own.gained)})"
    return said


def _p(task: TaskVerdict) -> str:
    assert task.p_adjusted is not None
    p = task.p_adjusted
    return "adjusted p < 0.001" if p < 0.001 else f"adjusted p {p:.2g}"


def _mean(items: float) -> str:
    return f"{items:,.1f}".removesuffix(".0")


def _readings(task: TaskVerdict) -> str:
    told = [
        f"{name} {_number(reading.before.value)} before, {_number(reading.after.value)} after"
        for name, reading in task.readings.items()
        if name in LENIENT
    ]
    return "; ".join(told)


def _items(count: int) -> str:
    return f"{count:,} item" + ("" if count == 1 else "s")


def _signed(value: float) -> str:
    text = _number(value)
    return f"+{text}" if value > 0 and float(text) != 0 else text


def _number(value: float | None) -> str:
    """Two decimals, or three where they say more."""
    assert value is not None
    text = f"{abs(value):.3f}".removesuffix("0")
    return MINUS + text if value < 0 and float(text) != 0 else text

"""Whether a model before had anything to lose on a task: one that guesses cannot forget.

A task is at floor unless the model before is clearly above chance.  Clearly is meant strictly: a
model that guesses passes for one that knows in at most one of ten thousand tasks.  A few right
answers out of few items are another matter: six right of six are not ten thousand to one, but
no sign of guessing either.  There the items are too few, and the verdict says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np
from scipy import stats

from forgetless.metrics.scores import ROUNDING, FloatArray, IntArray
from forgetless.metrics.sign_flip import group_sums

Chance = float | Mapping[str, float]
"""Score of guessing, in [0, 1]: of every item, or item by item."""

Floor = Literal["guessing", "few right", "little to lose"]
"""Why a task can show no loss: see :func:`find_floor`."""

_STRICT = 1e-4
"""A score that guessing reaches more often is no sign of knowing anything."""

_HALF_WAY, _LOOSE = 0.5, 0.02
"""Half way from chance to all right, and as rare as this by guessing: few items, but no floor."""

_LUCKY_GROUPS = 0.002
"""The same of groups, each guessed as a whole: how far their items agree is not known well."""


def chance_of_choosing(choices: Mapping[str, Collection[str] | None]) -> dict[str, float]:
    """Item to the score of guessing, from its choices; empty unless every item has two or more.

    Of an item whose choices are not known, or with one alone, guessing has no known score; and so
    the task as a whole has none.
    """
    numbers = {item: len(offered or ()) for item, offered in choices.items()}
    if any(number < 2 for number in numbers.values()):
        return {}
    return {item: 1 / number for item, number in numbers.items()}


def mean_chance(chance: Chance | None, ids: Sequence[str]) -> float | None:
    """Mean score of guessing on some items; None where guessing is not a way to be right.

    Raises:
        ValueError: if an item has no chance, or one outside 0 to 1.
    """
    if chance is None or not ids:
        return None
    if isinstance(chance, Mapping):
        absent = next((item for item in ids if item not in chance), None)
        if absent is not None:
            raise ValueError(f"item '{absent}' has no chance; needed one for every item, or none")
        values = [chance[item] for item in ids]
    else:
        values = [chance]
    if not all(0 <= value < 1 for value in values):
        raise ValueError(f"chance is {values}, needed shares from 0 to below 1")
    return float(np.mean(values))


def find_floor(
    before: FloatArray,
    chance: float | None,
    number: IntArray | None,
    *,
    budget: float,
    level: float,
) -> Floor | None:
    """Why the model before cannot be seen to lose anything, or None if it can.

    - ``guessing``: its score is one that guessing reaches in more than one of 10,000 tasks;
    - ``few right``: where one cannot guess, so few answers are right that the loss of all of them
      would not be significant;
    - ``little to lose``: it stands no further above chance than the accepted loss.

    Args:
        before: Accuracies, shape (n,), n > 0.
        chance: Mean score of guessing; None where there is no such thing.
        number: Each item's group, shape (n,); None if every item is alone.
        budget: Largest loss accepted.
        level: Confidence level of the test that would have to show a loss.
    """
    least = chance or 0.0
    above = float(before.mean()) - least
    if above <= 0:
        return "guessing" if least else "few right"
    by_luck = _chance_of_so_many(before, least, number)
    half_way = above >= _HALF_WAY * (1 - least)
    few = by_luck <= _LOOSE and half_way and not _groups_could_be_lucky(before, least, number)
    if by_luck > _STRICT and not few:
        return "guessing"
    right = int((group_sums(before, number) > 0).sum())
    if not half_way and 2.0 ** (1 - right) > 1 - level:
        return "few right"
    return "little to lose" if above <= budget + ROUNDING else None


def floor_of_parts(
    parts: Sequence[tuple[FloatArray, float, IntArray | None]], *, budget: float
) -> Floor | None:
    """Why a task of graded difficulty can show no loss, though as a whole it looks guessed.

    A model that knows the easy part and guesses the rest scores near chance on the whole.  So each
    part is tested, as strictly as if it were the whole: with k parts a guessing model passes in k
    times fewer cases each.  To lose there is what the known parts stand above chance.

    Args:
        parts: Of each part its accuracies, shape (m,), m > 0, its score of guessing, and its
            items' groups.
        budget: Largest loss accepted, of the whole task.
    """
    items = sum(len(before) for before, _, _ in parts)
    to_lose = 0.0
    for before, chance, number in parts:
        above = float(before.mean()) - chance
        if above > 0 and _chance_of_so_many(before, chance, number) <= _STRICT / len(parts):
            to_lose += above * len(before) / items
    if to_lose == 0:
        return "guessing"
    return "little to lose" if to_lose <= budget + ROUNDING else None


def _groups_could_be_lucky(before: FloatArray, chance: float, number: IntArray | None) -> bool:
    """Whether a guess for each whole group would score as high too often; not if all is right."""
    if number is None or chance == 0 or (before == 1).all():
        return False
    groups = int(number.max()) + 1
    right = int(np.ceil(groups * before.mean() - 1e-9))
    return bool(stats.binom.sf(right - 1, groups, chance) > _LUCKY_GROUPS)


def _chance_of_so_many(before: FloatArray, chance: float, number: IntArray | None) -> float:
    """How often guessing scores as high, or higher.

    Of independent right or wrong answers exactly; where items have different chances the binomial
    with their mean is a bound (Hoeffding 1956, On the distribution of the number of successes in
    independent trials).  Else by Student's t over groups, with the larger of the spread that they
    show and the one that guessing has.
    """
    n = len(before)
    if chance == 0:
        return 0.0  # whatever is right was not guessed
    if number is None and np.isin(before, (0.0, 1.0)).all():
        return float(stats.binom.sf(round(before.sum()) - 1, n, chance))
    sums = group_sums(before, number)
    sizes = group_sums(np.ones(n), number)
    groups = len(sums)
    freedom = max(groups - 1, 1)
    seen = float(((sums - sizes * before.mean()) ** 2).sum()) * groups / freedom
    error = np.sqrt(max(seen, n * chance * (1 - chance))) / n
    return float(stats.t.sf((before.mean() - chance) / error, freedom))

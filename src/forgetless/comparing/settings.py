"""What a comparison is made in: model, tasks, grid of rates, and which data choose and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from forgetless.plan import BudgetConfig

Withheld = Mapping[str, frozenset[str]]
"""By task, items that neither choose nor are reported."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    What chooses an arm's rate and options never reports it: seeds are either for the one or for the
    other, or the items of every test are split in two halves.

    Attributes:
        prepare: From a seed to the plan's settings but for methods, rate and output; may take long.
        rates: Learning rates to choose among.
        search_seeds: Seeds that choose.
        seeds: Seeds that are reported.
        split_items: Whether half of the items choose and the other half is reported.
        adapter_scale: Adapters are offered rates so many times as high.
        options: What methods need here wherever they occur.
        budget: The loss that is accepted: points of a grid within it are chosen before others.
        withheld: By task, items that neither choose nor are reported, for a certificate to rest on.
        data: Hash of what the plan's files hold; a run that was made of other data is made again.
        fresh: Whether every run gets a process of its own, so that its peak memory is its own.

    Raises:
        ValueError: if a seed both chooses and is reported.
    """

    prepare: Callable[[int], dict[str, Any]]
    rates: tuple[float, ...]
    search_seeds: tuple[int, ...]
    seeds: tuple[int, ...]
    split_items: bool = False
    adapter_scale: float = 3.0
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    budget: BudgetConfig | None = None
    withheld: Withheld = field(default_factory=dict)
    data: str = ""
    fresh: bool = False

    def __post_init__(self) -> None:
        both = sorted({*self.search_seeds} & {*self.seeds})
        if both and not self.split_items:
            raise ValueError(f"seed {both[0]} would choose rates and be reported as well")

    def rates_for(self, *, adapter: bool) -> tuple[float, ...]:
        """The grid of rates.

        Adapters start at zero and move a product, so they are usually trained at several times the
        rate of the weights themselves; their grid is as small.
        """
        return tuple(rate * self.adapter_scale for rate in self.rates) if adapter else self.rates

"""The arms of a comparison: which methods, with which options, tuned over which values."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forgetless.methods import METHODS

SEQUENTIAL, JOINT, LORA = "sequential", "joint", "lora"

ADAPTERS = frozenset(name for name, method in METHODS.items() if method.puts_adapter_on)


@dataclass(frozen=True)
class Candidate:
    """One point of an arm's grid.

    Attributes:
        rate: Learning rate.
        tuned: Values of the options that are searched, by ``method.option``.
    """

    rate: float
    tuned: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return ", ".join([f"{self.rate:g}", *(f"{key} {value}" for key, value in self.tuned)])


@dataclass(frozen=True)
class Arm:
    """Some methods together, as one row of the table.

    Attributes:
        name: Its name there.
        methods: Methods by name, each with its options.
        searched: Values to choose among, by ``method.option``.
        tuned: Whether the rate is chosen, too; otherwise it is the middle one.
    """

    name: str
    methods: Mapping[str, Mapping[str, Any]] = field(hash=False)
    searched: Mapping[str, tuple[Any, ...]] = field(default_factory=dict, hash=False)
    tuned: bool = True

    @property
    def adapter(self) -> bool:
        """Whether an adapter is trained instead of the weights."""
        return not ADAPTERS.isdisjoint(self.methods)

    def candidates(self, rates: Sequence[float]) -> Iterator[Candidate]:
        """The grid: every rate with every choice of the searched options, weakest first."""
        keys = list(self.searched)
        for rate in rates if self.tuned else [rates[len(rates) // 2]]:
            for values in itertools.product(*self.searched.values()):
                yield Candidate(rate, tuple(zip(keys, values, strict=True)))

    def plan(
        self, candidate: Candidate, options: Mapping[str, Mapping[str, Any]]
    ) -> list[dict[str, dict[str, Any]]]:
        """The ``methods`` of a plan.

        Args:
            candidate: A point of the grid.
            options: What a setting asks of methods wherever they occur; the arm's own go first.
        """
        methods = {name: {**options.get(name, {}), **own} for name, own in self.methods.items()}
        for key, value in candidate.tuned:
            name, option = key.split(".")
            methods[name][option] = value
        return [{name: own} for name, own in methods.items()]

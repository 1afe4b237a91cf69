"""Points between a base and a tuned model, and how a model is set to one.

Of a full model every weight becomes  base + a(layer) * m(tuned - base); of an adapter, whose change
of a weight is B A, the factor a(layer) alone is put on B.

Source: linear: Wortsman et al. 2021 (WiSE-FT, arXiv 2109.01903); trimmed by magnitude: the first
step of TIES, Yadav et al. 2023 (arXiv 2306.01708); dropped at random and enlarged: Yu et al. 2023
(DARE, arXiv 2311.03099).  Differs: entries are ranked within a weight.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from forgetless.models.thinning import thinned

if TYPE_CHECKING:
    import torch

How = Literal["linear", "trimmed", "dropped"]

ALPHAS = tuple(tenth / 10 for tenth in range(11))
DENSITIES = (0.1, 0.3)
THIRDS = 3
LEAST_STEP = 0.2
"""By how much a third of the layers is taken nearer to one end than the others."""

_LAYER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class Point:
    """One way between the two.

    Attributes:
        alphas: How far to go in the first, middle and last third of the layers; 0 base, 1 tuned.
            What belongs to no layer goes as far as their mean.
        how: What is taken of the change.
        density: Share of a change's entries that is kept.
    """

    alphas: tuple[float, float, float]
    how: How = "linear"
    density: float = 1.0

    @classmethod
    def even(cls, alpha: float, how: How = "linear", density: float = 1.0) -> Point:
        """The same for all layers."""
        return cls((alpha, alpha, alpha), how, density)

    @property
    def alpha(self) -> float:
        """The mean over the thirds."""
        return sum(self.alphas) / THIRDS

    def __str__(self) -> str:
        same = len(set(self.alphas)) == 1
        told = f"{self.alphas[0]:g}" if same else "/".join(f"{alpha:g}" for alpha in self.alphas)
        if self.how == "linear":
            return told
        return f"{told} of the {self.density:.0%} {CHANGES_LEFT[self.how]}"


CHANGES_LEFT: Mapping[How, str] = {
    "trimmed": "largest changes",
    "dropped": "changes drawn at random",
}

BASE, TUNED = Point.even(0.0), Point.even(1.0)


def first_points(*, adapter: bool) -> list[Point]:
    """Points on straight lines: all tenths, and for a full model thinned changes as well."""
    points = [Point.even(alpha) for alpha in ALPHAS]
    if not adapter:
        points += [
            Point.even(alpha, how, density)
            for how in ("trimmed", "dropped")
            for density in DENSITIES
            for alpha in (0.4, 0.7, 1.0)
        ]
    return points


def points_around(point: Point) -> list[Point]:
    """A point with each third of the layers nearer to the base, or nearer to the tuned model."""
    found = []
    for third in range(THIRDS):
        for step in (-LEAST_STEP, LEAST_STEP):
            alphas = list(point.alphas)
            alphas[third] = round(min(1.0, max(0.0, alphas[third] + step)), 6)
            found.append(Point((alphas[0], alphas[1], alphas[2]), point.how, point.density))
    return [one for one in dict.fromkeys(found) if one != point]


def third_of(name: str, layers: int) -> int | None:
    """In which third of so many layers a weight is, from 0; None if it is of no layer.

    >>> [third_of(f"model.layers.{layer}.mlp.up_proj.weight", 6) for layer in (0, 1, 2, 5)]
    [0, 0, 1, 2]
    """
    found = _LAYER.search(name)
    return None if found is None else min(int(found[1]) * THIRDS // layers, THIRDS - 1)


def layers_of(names: Sequence[str]) -> int:
    """Number of layers by the names of a model's weights; 1 if none is numbered."""
    return 1 + max((int(found[1]) for name in names if (found := _LAYER.search(name))), default=0)


class Between:
    """A model that can be set to any point; it starts as the tuned one.

    Args:
        model: The tuned model; a whole model, or a base with one LoRA adapter.
        base: Values of the base by parameter name; None for an adapter.
    """

    def __init__(self, model: Any, base: Mapping[str, torch.Tensor] | None) -> None:
        self._model = model
        self._base = base
        self.adapter = base is None
        live = dict(model.named_parameters())
        changing = [
            name
            for name, value in live.items()
            if (".lora_B." in name if base is None else name in base and _differ(base[name], value))
        ]
        self._live = {name: live[name] for name in changing}
        self._tuned = {name: value.detach().clone() for name, value in self._live.items()}
        self._layers = layers_of(list(live))

    @property
    def changed(self) -> int:
        """Number of weight matrices and vectors in which the two differ."""
        return len(self._live)

    def set(self, point: Point) -> None:
        """Set the model to a point; base and tuned model are exact copies."""
        import torch

        with torch.no_grad():
            for place, (name, parameter) in enumerate(self._live.items()):
                third = third_of(name, self._layers)
                alpha = point.alpha if third is None else point.alphas[third]
                parameter.copy_(self._value(name, alpha, point, place))

    def _value(self, name: str, alpha: float, point: Point, place: int) -> torch.Tensor:
        import torch

        tuned = self._tuned[name]
        value: torch.Tensor
        if self._base is None:
            value = tuned * alpha
        elif alpha == 0:
            value = self._base[name]
        elif point.how == "linear":
            base = self._base[name].to(tuned).float()
            value = tuned if alpha == 1 else torch.lerp(base, tuned.float(), alpha)
        else:
            base = self._base[name].to(tuned).float()
            value = base + alpha * _left_of(tuned.float() - base, point, place)
        return value


def _differ(one: torch.Tensor, other: torch.Tensor) -> bool:
    import torch

    return one.shape == other.shape and not torch.equal(one.to(other), other)


def _left_of(change: torch.Tensor, point: Point, seed: int) -> torch.Tensor:
    import torch

    with torch.random.fork_rng([change.device] if change.device.type == "cuda" else []):
        torch.manual_seed(seed)  # the same entries each time the point is set
        return thinned(change, point.density, largest=point.how == "trimmed")

"""Merging at the end of a stage: the model that is kept lies between those before and after it.

With d = after - before, a stage leaves  before + alpha * m(d).  ``linear``: m(d) = d, the weighted
mean of the two models.  ``ties`` keeps of each weight's d the largest entries, ``density`` of them,
and drops those that are overruled: whose sign is not that of their sum with all that the sequence
had changed before, before - base, where base is the untouched model.  ``dare_linear`` keeps entries
at random with probability ``density`` and divides them by it; ``dare_ties`` drops the overruled of
them, too.

With ``alpha: search`` some training rows are withheld from training, and of alpha = 0, 0.1, ..., 1
that is taken which has the least loss on those of the stage's tasks and all earlier ones, each task
weighing the same; of equals the largest.

Source: linear: Wortsman et al. 2021 (WiSE-FT, arXiv 2109.01903); ties: Yadav et al. 2023 (arXiv
2306.01708); dare: Yu et al. 2023 (arXiv 2311.03099); trimming, dropping and electing signs by peft.
Differs: the papers merge models trained apart from one base.  In a sequence the merge is done again
after every stage, and each stage is trained on top of the ones before.  So only the new change is
thinned, or density^k of an old task would be left k stages later; and it is added to the old change
instead of averaged with it where both agree.  As in peft, entries are ranked within a weight, not
over all of them.  Of an adapter the products B A are merged, and brought back to its rank.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from forgetless.errors import DataError, ModelError
from forgetless.methods.base import Method, State
from forgetless.methods.parts.between import GRID, adapter_factors, move_between
from forgetless.methods.parts.passes import mean_losses
from forgetless.methods.parts.pulls import trained_weights
from forgetless.methods.parts.reference import trained_values
from forgetless.methods.parts.withheld import withhold
from forgetless.methods.stage import Stage, Workbench
from forgetless.models.thinning import thinned
from forgetless.plan import Config
from forgetless.tasks.examples import Examples
from forgetless.tasks.row import Row

if TYPE_CHECKING:
    import torch


class MergeConfig(Config):
    """Options of merging."""

    alpha: float | Literal["search"] = Field(
        0.5,
        description="how far to go from the model before the stage (0) to the one after it (1), or "
        "search: where the loss on withheld rows of all tasks is least",
    )
    how: Literal["linear", "ties", "dare_linear", "dare_ties"] = Field(
        "linear", description="what is taken of the stage's change of the weights"
    )
    density: float = Field(
        0.5, gt=0, le=1, description="share of the change's entries that ties and dare keep"
    )
    withhold: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="share of each task's training rows that a search withholds from training, of "
        "those that teach no test item; at least 4 rows, at most 256",
    )

    @field_validator("alpha", mode="before")
    @classmethod
    def _alpha_is_a_share(cls, alpha: Any) -> Any:
        if alpha == "search" or (isinstance(alpha, int | float) and 0 <= alpha <= 1):
            return alpha
        raise PydanticCustomError("alpha", "Input should be a number from 0 to 1, or search")


class Merge(Method[MergeConfig]):
    """Keep a model between the ones before and after the stage."""

    name = "merge"
    Config = MergeConfig
    excludes_sharding = ""
    excludes = {  # noqa: RUF012 - declared once, never changed
        "olora": "its adapters are one when the stage ends, and the older part must not change",
        "si": "it weighs the way that training went, and a merge goes another",
    }

    def __init__(self, config: MergeConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._before: dict[str, torch.Tensor] = {}
        self._base: dict[str, torch.Tensor] = {}  # only where signs are elected
        self._withheld: Mapping[str, Sequence[Row]] = {}
        self._examples: Examples | None = None
        self._searches = self.config.alpha == "search"
        if self._searches:
            self.only_in_runs = "a search withholds rows, which only a run can; give alpha a number"
        if self.config.how != "linear":
            thins = f"{self.config.how} keeps single entries of a weight's change, which then "
            self.excludes = self.excludes | {
                "lora": thins + "has no low rank; how: linear does",
                "osf": thins + "leaves the subspace that may change; how: linear does not",
                "ogd": thins + "reaches protected inputs; how: linear does not",
            }

    @property
    def must_train(self) -> bool:
        """The untouched model, against which signs are elected, is seen in the first stage only."""
        return self.config.how.endswith("ties")

    def acts_in(self, stage: Stage) -> bool:
        """Unless the model after the stage is kept as it is."""
        return self.config.alpha != 1 or self.config.how != "linear"

    def identity(self, stage: Stage) -> dict[str, Any]:
        """The options, and the rows that are searched on."""
        digest = hashlib.sha256()
        for task in (*stage.earlier, *stage.tasks):
            for row in self._withheld.get(task.name, ()):
                digest.update(f"{task.name}\x00{row.id}\x00{row.content_hash()}\n".encode())
        return super().identity(stage) | {"withheld": digest.hexdigest()}

    def stages(self, stages: Sequence[Stage]) -> list[Stage]:
        """The same stages; a search withholds rows from them."""
        if not self._searches:
            return list(stages)
        planned, self._withheld = withhold(stages, self.config.withhold)
        return planned

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Keep the model before the stage; tokenise what is searched on.

        Raises:
            DataError: if every withheld row is too long.
            ModelError: if the model has an adapter, for all but ``how: linear``.
        """
        stage = bench.stage
        if not self.acts_in(stage):
            return
        self._before = trained_values(bench.model, "cpu")
        if self.config.how != "linear" and adapter_factors(self._before):
            raise ModelError(
                f"merge: the model has an adapter, and {self.config.how} gives a change of no low "
                "rank",
                fix="merge: {how: linear}",
            )
        if self.config.how.endswith("ties"):
            # What is trained for the first time is still as in the untouched model.
            self._base = self._before | self._base
        if self._searches:
            tasks = (*stage.earlier, *stage.tasks)
            rows = [(task, row) for task in tasks for row in self._withheld[task.name]]
            self._examples = bench.encoder.encode(rows, rehearsal=True)
            if not len(self._examples):
                raise DataError(
                    f"stage {stage.name}: no withheld row is within {bench.encoder.limit}",
                    fix="raise max_length, or give alpha a number:  merge: {alpha: 0.5}",
                )

    def settle(self, bench: Workbench) -> None:
        """Merge, in place."""
        if not self._before:
            return
        if self.config.how != "linear":
            self._thin(bench)
        alpha = self.config.alpha
        if alpha == "search":
            after: Mapping[str, torch.Tensor] = trained_values(bench.model, "cpu")
            alpha = self._search(bench, after)
        else:
            after = dict(bench.model.named_parameters())
        move_between(bench.model, self._before, after, alpha)
        self._before, self._examples = {}, None

    def _thin(self, bench: Workbench) -> None:
        """Take from the model what the stage changed and ``how`` does not keep."""
        import torch

        device = next(bench.model.parameters()).device
        seed = int(bench.stage.rng("merge").integers(2**31))
        with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            for name, parameter in trained_weights(bench.model).items():
                before = self._before[name].to(device).float()
                change = parameter.float() - before
                kept = thinned(change, self.config.density, largest=self.config.how == "ties")
                if name in self._base:
                    kept = _not_overruled(kept, before - self._base[name].to(before))
                parameter.copy_(before + kept)

    def _search(self, bench: Workbench, after: Mapping[str, torch.Tensor]) -> float:
        """The alpha of the grid with the least loss on the withheld rows."""
        assert self._examples is not None
        tasks = np.array([origin.task for origin in self._examples.origins])
        curve = []
        means = []
        for alpha in GRID:
            move_between(bench.model, self._before, after, alpha)
            losses = mean_losses(bench.model, self._examples)
            each = {str(task): float(losses[tasks == task].mean()) for task in np.unique(tasks)}
            means.append(float(np.mean(list(each.values()))))
            curve.append({"alpha": alpha, "loss": means[-1], "tasks": each})
        best = max(alpha for alpha, mean in zip(GRID, means, strict=True) if mean == min(means))
        bench.found[self.name] = {"alpha": best, "curve": curve}
        return best

    def state(self) -> State:
        """The untouched model, where signs are elected against it."""
        return State(dict(self._base))

    def restore(self, state: State) -> None:
        """Take it back."""
        self._base = dict(state.tensors)


def _not_overruled(change: torch.Tensor, past: torch.Tensor) -> torch.Tensor:
    """The entries of a change that have the sign of their sum with the past."""
    import torch
    from peft.utils.merge_utils import calculate_majority_sign_mask

    _, wins = calculate_majority_sign_mask(torch.stack([past, change]), method="total")
    kept: torch.Tensor = change * wins
    return kept

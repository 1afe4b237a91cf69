"""Low-rank adapters: train a low-rank change of the linear layers and leave the weights alone.

One adapter is trained through all stages; each stage saves it as it stands then.  Where its start
takes over a part s * B0 A0 of the weights, what is saved holds that part with the opposite sign in
a second half of its rank, A = [A; A0], B = [B, -B0], so that it fits the plain model.

Source: Hu et al. 2021 (arXiv 2106.09685); rank-stabilised scale, Kalajdzievski 2023 (arXiv
2312.03732); DoRA, Liu et al. 2024 (arXiv 2402.09353); the ways to start in ``lora_init``.  It is no
cure for forgetting: at its usual rates it can forget more than full fine-tuning at a small one, so
measure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import Field, model_validator

from forgetless.errors import DataError
from forgetless.methods.base import Method
from forgetless.methods.parts.adapters import (
    ADAPTER,
    AdapterConfig,
    factors,
    freeze,
    join,
    lay_beside,
    linear_layers,
    put_on,
    set_factors,
)
from forgetless.methods.parts.buffer import is_tested
from forgetless.methods.parts.lora_init import (
    BY_PEFT,
    FROM_ROWS,
    TAKING_OVER,
    Factors,
    Init,
    refuse_rank,
    start_factors,
)
from forgetless.methods.stage import Stage, Workbench
from forgetless.tasks.examples import Examples
from forgetless.tasks.row import Row
from forgetless.tasks.source import read_source

TAKEN = "taken"  # the frozen adapter (A0, -B0) beside one that took a part of the weights over


class LoRAConfig(AdapterConfig):
    """Options of LoRA."""

    init: Init = Field("default", description="how the adapter starts; see the method's page")
    iterations: int = Field(16, ge=1, le=100, description="subspace iterations of init pissa_niter")
    calibration: str | None = Field(
        None, description="source of rows that show what init corda is to keep"
    )
    calibration_rows: int = Field(
        256, ge=1, description="rows that init corda, eva or lora_ga looks at"
    )
    rslora: bool = Field(False, description="scale by alpha / sqrt(rank) instead of alpha / rank")
    dora: bool = Field(False, description="train the length of each row of the weights as well")

    @model_validator(mode="after")
    def _can_start(self) -> Self:
        if (self.init == "corda") != (self.calibration is not None):
            raise ValueError(
                "init corda and calibration, a source of rows that show what is to be kept, need "
                "each other"
            )
        if self.init == "orthogonal" and self.rank % 2:
            raise ValueError(f"init orthogonal needs an even rank, found {self.rank}")
        if self.dora and self.init in TAKING_OVER | {"mica"}:
            raise ValueError(
                f"dora goes with init default, gaussian, orthogonal or eva, not with {self.init}"
            )
        return self


class LoRA(Method[LoRAConfig]):
    """Train a low-rank adapter instead of the weights."""

    name = "lora"
    Config = LoRAConfig
    excludes_sharding = ""
    excludes: Mapping[str, str] = {
        "olora": "both put an adapter on the model",
        "osf": "osf trains the weights that an adapter leaves alone",
        "freeze": "an adapter freezes all weights of the model",
    }
    puts_adapter_on = True
    only_in_runs = "the trainer must be made with the adapter:  peft.get_peft_model(model, ...)"

    def __init__(self, config: LoRAConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        init, dora = self.config.init, self.config.dora
        reason = f"with {'dora' if dora else f'init {init}'} the change of a weight is not just "
        reason += "the product of the two factors that are trained"
        if dora or init == "mica":
            self.excludes = {**self.excludes, "ewc": reason, "l2sp": reason}
        if dora or init in TAKING_OVER:
            self.excludes = {**self.excludes, "ewc": reason, "merge": reason}
        if init in TAKING_OVER:
            reason = f"with init {init} two adapters are one when the stage ends"
            self.excludes = {**self.excludes, "budget": f"{reason}, and the way back is gone"}
        if init not in {"default", "gaussian", "eva"}:
            reason = f"init {init} works out its start from the weights themselves"
            self.excludes_quantization = {"4bit": reason, "8bit": reason}
        elif dora:
            self.excludes_quantization = {
                "8bit": "dora needs the length of each row of the weights"
            }

    def identity(self, stage: Stage) -> dict[str, Any]:
        """The options and the calibration rows."""
        digest = hashlib.sha256()
        for row in self._calibration(stage):
            digest.update(row.content_hash().encode())
        return super().identity(stage) | {"rows": digest.hexdigest()}

    def adapt(self, bench: Workbench) -> None:
        """Put the adapter on in the first stage; later stages go on with it."""
        import peft

        options = self.config
        if not isinstance(bench.model, peft.PeftModel):
            named = options.init if options.init in BY_PEFT - {"default"} else True
            bench.model = put_on(
                bench.model,
                self.name,
                options,
                init_lora_weights=True if bench.dry else named,
                use_rslora=options.rslora,
                use_dora=options.dora,
            )
            if options.init not in BY_PEFT:
                self._start(bench)
        elif not bench.dry and options.init in TAKING_OVER:
            self._take_apart(bench.model)
        if options.init == "mica":
            for layer in linear_layers(bench.model):
                layer.lora_B[ADAPTER].requires_grad_(False)

    def settle(self, bench: Workbench) -> None:
        """Make the adapter and the part that it took over one adapter of the plain model."""
        if self.config.init in TAKING_OVER:
            join(bench.model, TAKEN, self.config)

    def _start(self, bench: Workbench) -> None:
        """Start a new adapter from the weights, or from rows."""
        options, layers = self.config, linear_layers(bench.model)
        refuse_rank(layers, options.init)
        if bench.dry:
            return
        examples = self._examples(bench) if options.init in FROM_ROWS else None
        starts = start_factors(bench.model, layers, options.init, options.iterations, examples)
        for layer, start in zip(layers, starts, strict=True):
            set_factors(layer, ADAPTER, *start)
        if options.init in TAKING_OVER:
            self._take_off(bench.model, [(a, -b) for a, b in starts])

    def _take_apart(self, model: Any) -> None:
        """Undo :meth:`settle`: the adapter to be trained further, and the part it took over."""
        rank, parts = self.config.rank, []
        for layer in linear_layers(model):
            a, b = factors(layer)
            parts.append((a[rank:], b[:, rank:]))
            set_factors(layer, ADAPTER, a[:rank], b[:, :rank])
        self._take_off(model, parts)

    def _take_off(self, model: Any, parts: Sequence[Factors]) -> None:
        """Lay the frozen adapter with the negative of the part taken over beside the first."""
        lay_beside(model, TAKEN, self.config)
        layers = linear_layers(model)
        for layer, part in zip(layers, parts, strict=True):
            set_factors(layer, TAKEN, *part)
        freeze(layers, TAKEN)

    def _examples(self, bench: Workbench) -> Examples:
        """What the start looks at: calibration rows for corda, the stage's own for the others."""
        stage, most = bench.stage, self.config.calibration_rows
        if self.config.init == "corda":
            rows = [(stage.tasks[0], row) for row in self._calibration(stage)]
            found = bench.encoder.encode(rows, rehearsal=True)
            if not len(found):
                raise DataError(
                    f"{self.config.calibration}: none of {len(rows)} rows can calibrate init corda",
                    fix=f"their answers must begin within {bench.encoder.limit}",
                )
            return found
        chosen = stage.rng("lora/rows").permutation(len(bench.new))[:most].tolist()
        return Examples.of(
            [bench.new[index] for index in chosen], [bench.new.origins[index] for index in chosen]
        )

    def _calibration(self, stage: Stage) -> list[Row]:
        """Rows of the calibration source, chosen at random, none of them tested."""
        if self.config.calibration is None:
            return []
        source = read_source(self.config.calibration, fields={}, split="train")
        chosen: list[Row] = []
        for index in stage.rng("lora/rows").permutation(len(source)).tolist():
            row = source[index]
            if not is_tested(row, stage):
                chosen.append(row)
            if len(chosen) == self.config.calibration_rows:
                break
        return chosen

"""Low-rank adapters: train a low-rank change of the linear layers and leave the weights alone.

One adapter is trained through all stages; each stage saves it as it stands then.

Source: Hu et al. 2021 (arXiv 2106.09685).  It is no cure for forgetting: at its usual rates it can
forget more than full fine-tuning at a small one, so measure.
"""

from __future__ import annotations

from pydantic import Field

from forgetless.errors import ModelError
from forgetless.methods.base import Method, Workbench
from forgetless.models.quiet import quiet
from forgetless.plan import Config


class LoraConfig(Config):
    """Options of LoRA."""

    rank: int = Field(16, ge=1, description="rank of the change of each layer")
    alpha: int = Field(32, ge=1, description="the change is scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the adapter")
    targets: str | list[str] = Field(
        "all-linear", description="names of the modules adapted, or all-linear"
    )


class Lora(Method[LoraConfig]):
    """Train a low-rank adapter instead of the weights."""

    name = "lora"
    only_in_runs = "make the model with peft.get_peft_model before the trainer"
    Config = LoraConfig

    def adapt(self, bench: Workbench) -> None:
        """Put the adapter on in the first stage; later stages go on with it."""
        import peft

        model = bench.model
        if isinstance(model, peft.PeftModel):
            return
        config = peft.LoraConfig(
            r=self.config.rank,
            lora_alpha=self.config.alpha,
            lora_dropout=self.config.dropout,
            target_modules=self.config.targets,
            task_type="CAUSAL_LM",
        )
        try:
            with quiet():
                bench.model = peft.get_peft_model(model, config)
        except ValueError as error:
            raise ModelError(
                f"lora cannot be put on {type(model).__name__}: {str(error).splitlines()[0]}",
                fix="name modules of this model under  lora: {targets: [...]}",
            ) from error

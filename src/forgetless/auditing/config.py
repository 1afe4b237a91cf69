"""What is asked in an audit and how its answers are judged, validated as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from forgetless.errors import UsageError
from forgetless.plan import Config, Fault, nearest
from forgetless.plan.shares import Share


class AuditConfig(Config):
    """Settings of an audit; what the models are is said apart."""

    budget: Share = Field(
        default=0.05, gt=0, lt=1, description="largest loss accepted on each task, as a share"
    )
    nats_budget: float | None = Field(
        default=None,
        gt=0,
        description="the same for tasks scored by likelihood, in nats per token; the budget's own "
        "number if none: 2% is 0.02 nats",
    )
    level: float = Field(
        default=0.95, gt=0.5, lt=1, description="confidence level of each interval"
    )
    most_missing: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="with a larger share of items unanswered a task has failed",
    )
    null_ways: int = Field(
        default=1,
        ge=0,
        le=5,
        description="in how many other ways the model before is asked everything, to see how many "
        "answers flip by themselves",
    )
    drift: bool = Field(
        default=False, description="measure KL(before || after) on prompts; local models only"
    )
    render_with: Literal["own", "before", "after"] = Field(
        default="own", description="whose tokenizer and chat template all models are asked with"
    )
    base_url: str | None = Field(
        default=None,
        description="address of the endpoint of models named openai:NAME; openai:NAME@ADDRESS has "
        "its own",
    )
    judge: str | None = Field(
        default=None,
        description="model that grades answers in free text, in the place of their scorer; never "
        "one of the models under test",
    )
    price_in: float | None = Field(
        default=None, ge=0, description="price of a million tokens that an endpoint reads"
    )
    price_out: float | None = Field(
        default=None, ge=0, description="price of a million tokens that an endpoint writes"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="where to compute"
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="type of the weights; auto: as saved on CUDA, float32 elsewhere"
    )
    batch_size: int = Field(default=32, ge=1, description="sequences in one forward pass")
    trust_remote_code: bool = Field(
        default=False, description="run code that a model folder brings"
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of resampling and rewording")


def make_config(settings: Mapping[str, Any]) -> AuditConfig:
    """Validate settings, with our own message.

    Raises:
        UsageError: naming the setting, what was found and what was needed.
    """
    try:
        return AuditConfig.model_validate(dict(settings))
    except ValidationError as error:
        fault = Fault.first(error)
        if fault.unknown:
            raise UsageError(
                f"audit: unknown setting {fault.key!r}",
                fix=nearest(fault.key, list(AuditConfig.model_fields)),
            ) from None
        raise UsageError(f"audit: {fault.key} is {fault.found!r}: {fault.message}") from None

"""What a plan says of a provider that fine-tunes its model."""

from __future__ import annotations

from pydantic import Field

from forgetless.plan.base import Config


class Prices(Config):
    """What a provider takes for a million tokens, in any one currency."""

    training: float = Field(ge=0, description="tokens trained on, those of every epoch counted")
    input: float = Field(default=0, ge=0, description="tokens that a fine-tuned model reads")
    output: float = Field(default=0, ge=0, description="tokens that it writes")


class HostedConfig(Config):
    """How a provider of an OpenAI-compatible API fine-tunes the model; for openai:NAME alone."""

    base_url: str | None = Field(
        default=None,
        description="the provider's address; none: $OPENAI_BASE_URL, or OpenAI's own; "
        "openai:NAME@ADDRESS brings its own",
    )
    batch_size: int | None = Field(
        default=None, ge=1, description="rows in one optimiser step; none: the provider's choice"
    )
    learning_rate_multiplier: float | None = Field(
        default=None,
        gt=0,
        description="factor of the provider's own learning rate; none: the provider's choice",
    )
    tokenizer: str | None = Field(
        default=None,
        description="tokenizer that counts tokens: a hub name or a folder; none: estimated, a "
        "token for every four bytes",
    )
    max_length: int = Field(
        default=16_384, ge=8, description="longest row that the provider takes, in tokens"
    )
    max_file_mb: float = Field(
        default=512, gt=0, description="largest file that the provider takes, in 10^6 bytes"
    )
    poll_every: float = Field(
        default=10, gt=0, description="seconds between two questions how far a job is"
    )
    prices: Prices | None = Field(
        default=None, description="the provider's price list, for the estimate of a dry run"
    )

"""Which model a plan is about."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from forgetless.plan.base import Config


class ModelConfig(Config):
    """Which model, and how to load it."""

    name: str = Field(
        description="a hub name, a folder, an adapter folder, a .gguf file, "
        "bundled:smollm2-135m-instruct, or openai:NAME for a model that a provider fine-tunes"
    )
    revision: str | None = Field(default=None, description="hub revision (branch, tag or commit)")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="type of the weights; auto: as saved on CUDA, float32 elsewhere",
    )
    attention: str | None = Field(
        default=None,
        description="attention implementation (attn_implementation), e.g. sdpa, eager or "
        "flash_attention_2; none: what transformers takes",
    )
    quantization: Literal["4bit", "8bit"] | None = Field(
        default=None,
        description="keep the weights in 4 bits (NF4) or 8 (LLM.int8); an adapter on them is "
        "trained. Needs the extra forgetless[quantized]",
    )
    trust_remote_code: bool = Field(
        default=False, description="run code that the model folder brings"
    )

    @field_validator("name")
    @classmethod
    def _has_a_name(cls, name: str) -> str:
        if not name.strip():
            raise ValueError("found no name, needed a hub name, a folder or a file")
        return name

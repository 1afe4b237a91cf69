"""What every part of a plan is: frozen, and strict about its keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

TOO_LARGE = 2**53  # of whole numbers: what any number type holds exactly


class Config(BaseModel):
    """A frozen part of the plan; unknown keys are an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _paths_are_text(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: str(v) if isinstance(v, Path) else v for k, v in value.items()}
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """``true`` is no 1, and a number that no computation could hold is none."""
        if isinstance(value, bool):
            annotation = cls.model_fields[str(info.field_name)].annotation
            kinds = {annotation, *get_args(annotation)}
            if kinds & {int, float} and bool not in kinds:
                raise ValueError(f"found {str(value).lower()}, needed a number")
        elif isinstance(value, int) and abs(value) >= TOO_LARGE:
            raise ValueError("found too large a number, needed one below 2^53")
        return value

"""How the body of a request is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from starlette.requests import Request

from forgetless.serving.faults import ApiError

F = TypeVar("F", bound="Form")


class Form(BaseModel):
    """A body or an object in one; unknown keys are refused, and null says what leaving it out says.

    The API allows null for whatever may be left out, and clients send back what they were sent.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: inner for key, inner in value.items() if inner is not None}
        return value


async def parsed(request: Request, form: type[F]) -> F:
    """The body of a request.

    Raises:
        ApiError: naming the first parameter at fault.
    """
    try:
        return form.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        param = ".".join(str(part) for part in first["loc"]) or None
        if first["type"] == "extra_forbidden":
            message = f"Unknown parameter: '{param}'."
        else:
            message = f"{param or 'The body'}: {first['msg'].removeprefix('Value error, ')}"
        raise ApiError(400, message, param=param, code=first["type"]) from None

"""The fields of other tools' results that are read, with their types.

A file that was damaged, changed by hand or written by a later version is refused where it is read,
so that what reads its fields need not doubt them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forgetless.errors import DataError
from forgetless.exchange.json_files import AGAIN

Fields = dict[str, Any]


class Shape(BaseModel):
    """Fields that have these types where they are there."""

    model_config = ConfigDict(strict=True)


class LmEvalResults(Shape):
    """``results_DATE.json``."""

    configs: dict[str, Fields] = {}
    config: Fields = {}
    versions: Fields = {}
    shots: Fields = Field({}, alias="n-shot")
    counts: dict[str, dict[str, int | None]] = Field({}, alias="n-samples")
    higher_is_better: dict[str, dict[str, bool | None]] = {}
    chat_template_sha: str | None = None
    system_instruction_sha: str | None = None


class LmEvalSample(Shape):
    """A line of ``samples_TASK_DATE.jsonl``."""

    doc_id: int = 0
    filter: str = ""
    arguments: dict[str, Fields | list[Any]] | list[list[Any] | Fields] = []
    resps: list[Any] = []
    filtered_resps: list[Any] = []
    metrics: list[str] = []
    doc_hash: str = ""
    prompt_hash: str = ""
    target_hash: str = ""
    forgetless: dict[str, str] = {}


class _Scorer(Shape):
    name: str = ""


class _Evaluation(Shape):
    task: str = ""
    created: str = ""
    model: str = ""
    packages: Fields | None = None
    dataset: Fields | None = None
    config: Fields | None = None
    model_generate_config: Fields | None = None
    scorers: list[_Scorer] | None = None


class _SolverPlan(Shape):
    steps: list[Fields] | None = None
    config: Fields | None = None


class InspectLog(Shape):
    """A log of inspect, but for its samples."""

    status: str = ""
    eval: _Evaluation = _Evaluation()
    plan: _SolverPlan | None = None
    results: Fields | None = None


class InspectSample(Shape):
    """One of its samples."""

    id: str | int = 0
    epoch: int = 1
    input: str | list[Fields] = ""
    choices: list[Any] | None = None
    output: Fields | None = None
    scores: dict[str, Fields] | None = None
    error: Fields | None = None


_WORDS = {
    "dict_type": "an object",
    "model_type": "an object",
    "list_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
}


def check_shape(found: Mapping[str, Any], shape: type[Shape], place: str) -> None:
    """Refuse what has fields of other types.

    Raises:
        DataError: naming the place, the field, and what was needed.
    """
    try:
        shape.model_validate(found)
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        alike = [one for one in others if one["loc"][0] == first["loc"][0]]  # of a union's members
        # the last part names the member, where there are several
        field = ".".join(map(str, first["loc"][: -1 if alike else None]))
        needed = dict.fromkeys(_WORDS.get(one["type"], one["msg"]) for one in (first, *alike))
        raise DataError(
            f"{place}: {field}: found {type(first['input']).__name__}, "
            f"needed {' or '.join(needed)}",
            fix=AGAIN,
        ) from None

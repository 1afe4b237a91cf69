"""What libraries raise on a bad or absent model, in words that say what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forgetless.errors import ForgetlessError, ModelError
from forgetless.models.source import COPY_AGAIN, ModelSource, base_named, near_model


@contextmanager
def faults_explained(source: ModelSource, part: str) -> Iterator[None]:
    """Turn whatever the libraries raise on a bad or absent file into a message."""
    try:
        yield
    except ForgetlessError:
        raise
    except Exception as error:  # no list of them would be complete
        reason = _reason(error)
        if source.kind == "hub" and "custom code" not in reason:
            raise ModelError(
                f"{source.location}: no such folder or file here, and the {part} cannot be had "
                f"from the hub: {reason}",
                fix=near_model(Path(source.location))
                or "check the path, or the name and the network",
            ) from error
        if source.kind == "adapter" and "size mismatch" in reason:
            raise ModelError(
                f"{source.location}: the adapter does not fit the model that its "
                f"adapter_config.json names, {base_named(source.location)}: the shapes differ",
                fix="set  base_model_name_or_path  there to the model that it was trained on",
            ) from error
        for sign, better, fix in _EXPLAINED:
            if sign in reason:
                raise ModelError(f"{source.location}: {better}", fix=fix) from error
        raise ModelError(
            f"{source.location}: the {part} cannot be read: {reason}", fix=COPY_AGAIN
        ) from error


def complete(model: Any, found: Mapping[str, Any]) -> Any:
    """A model all of whose weights were found; transformers draws those that were not at random.

    Args:
        model: As ``from_pretrained`` returns it.
        found: Its loading info.

    Raises:
        ValueError: naming a weight that is not there.
    """
    if absent := sorted(found["missing_keys"]):
        raise ValueError(f"{len(absent)} weights are not there, such as {absent[0]}")
    return model


def _reason(error: Exception) -> str:
    """What a library says, on one line; of a heading the first line below it as well."""
    if isinstance(error, KeyError):
        return f"{error} is not known, or not there"
    heading, *lines = str(error).strip().splitlines() or [type(error).__name__]
    below = f" {lines[0].strip()}" if lines and heading.endswith(":") else ""
    return (heading + below)[:300]


_EXPLAINED = (  # what libraries say, what it means here, what to do
    (
        "custom code",
        "brings code of its own, which is not run",
        "if you have read and trust it:  model: {name: ..., trust_remote_code: true}",
    ),
    (
        "does not recognize this architecture",
        "the installed transformers does not know this type of model",
        "pip install --upgrade transformers",
    ),
    (
        "attn_implementation=",
        "this model cannot be computed with the attention that the plan names",
        "leave  model.attention  out, or set it to  sdpa  or  eager",
    ),
    (
        "instantiate the backend tokenizer",
        "the tokenizer cannot be read: there is no tokenizer.json, or none that is whole",
        "copy the tokenizer there as well:  tokenizer.save_pretrained(FOLDER)",
    ),
)

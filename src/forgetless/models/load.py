"""Load a model and its tokenizer with plain transformers and peft; safetensors only."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetless.errors import ModelError
from forgetless.models.faults import complete, faults_explained
from forgetless.models.gguf import readable
from forgetless.models.hub import reachable
from forgetless.models.quantized import quantized_loading, refuse_quantization
from forgetless.models.quiet import quiet
from forgetless.models.source import ModelSource, find_model
from forgetless.plan import ModelConfig


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
    source = readable(source.base or source)
    with faults_explained(source, "configuration"), quiet(), torch.device("meta"):
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

    with faults_explained(source, "adapter"), warnings.catch_warnings():
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

    source = readable(source)
    dtype = "float32" if config.dtype == "auto" and device != "cuda" else config.dtype
    with faults_explained(source, "model"):
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
        return complete(*loaded)


def _tokenizer(source: ModelSource, config: ModelConfig, *, kept: bool) -> Any:
    from transformers import AutoTokenizer

    source = readable(source)
    location = source.location
    if source.kind == "adapter" and not (Path(location) / "tokenizer_config.json").is_file():
        assert source.base is not None
        return _tokenizer(source.base, config, kept=kept)
    with faults_explained(source, "tokenizer"), quiet():
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


def _kept_alone(source: ModelSource) -> bool:
    """Whether of a model, or of an adapter's base, only what was downloaded before can be had."""
    return (source.base or source).kind == "hub" and not reachable()

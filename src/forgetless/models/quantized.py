"""A base model whose weights are kept in fewer bits, with adapters trained on it in full.

Source: 4 bits as in QLoRA, Dettmers et al. 2023 (arXiv 2305.14314): NF4, its scales quantised too;
8 bits as in LLM.int8, Dettmers et al. 2022 (arXiv 2208.07339).  bitsandbytes computes both.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from forgetless.errors import ModelError
from forgetless.models.source import ModelSource
from forgetless.plan import ModelConfig


def refuse_quantization(config: ModelConfig, source: ModelSource) -> None:
    """Say before anything is loaded why a model cannot be quantised as a plan wants it.

    Raises:
        ModelError: without bitsandbytes, or for an adapter, which would have to be merged.
    """
    if config.quantization is None:
        return
    if source.kind == "adapter":
        raise ModelError(
            f"model.quantization: {source.location} is an adapter, and quantised weights cannot "
            "take it in without being rounded once more",
            fix="merge it into its base first:  merge_and_unload(), then save_pretrained(FOLDER)",
        )
    if find_spec("bitsandbytes") is None:
        raise ModelError(
            f"model.quantization is {config.quantization}, which needs the package bitsandbytes",
            fix="pip install 'forgetless[quantized]'",
        )


def quantized_loading(config: ModelConfig, device: str) -> dict[str, Any]:
    """What ``from_pretrained`` has to be told; nothing for a model in full precision.

    Args:
        config: The model of the plan.
        device: Where it is quantised and stays.
    """
    if config.quantization is None:
        return {}
    import torch
    from transformers import BitsAndBytesConfig

    if config.quantization == "8bit":
        settings = BitsAndBytesConfig(load_in_8bit=True)
    else:
        exact = device != "cuda" or config.dtype == "float32"
        settings = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32 if exact else torch.bfloat16,
        )
    place = torch.cuda.current_device() if device == "cuda" else device
    return {"quantization_config": settings, "device_map": {"": place}}


def weight_bytes(model: Any, config: ModelConfig) -> float:
    """Memory that a model's weights take, in bytes; embeddings and head are never quantised.

    Args:
        model: The model or its shapes, without adapters.
        config: How it is loaded.
    """
    from torch.nn import Linear

    width = 2.0 if config.dtype == "bfloat16" else 4.0
    every: int = sum(parameter.numel() for parameter in model.parameters())
    if config.quantization is None:
        return width * every
    head = model.get_output_embeddings()
    packed: int = sum(
        layer.weight.numel()
        for layer in model.modules()
        if isinstance(layer, Linear) and layer is not head
    )
    return width * (every - packed) + packed * {"4bit": 0.5, "8bit": 1.0}[config.quantization]

"""Which model this is, by content: a checkpoint that was overwritten in place is another one."""

from __future__ import annotations

import hashlib
import json
import uuid
from importlib.metadata import version
from typing import Any

from forgetless.models.source import ModelSource, weights_hash
from forgetless.plan import ModelConfig

# What a version of these computes, another may compute differently in the last digits.
_COMPUTED_BY = ("torch", "transformers", "peft")
# Of a layer that peft put around another.
_LAYER_STATES = ("active_adapters", "disable_adapters", "merged_adapters", "scaling")


def model_identity(config: ModelConfig, source: ModelSource, device: str) -> str:
    """SHA-256 of all that decides what a model answers.

    Weights, configuration, adapter, tokenizer and template are hashed by content, hub models by
    their commit; dtype, device, attention and the versions of what computes come on top.
    """
    weights = weights_hash(_without_hub_names(source, config))
    loaded = [config.dtype, config.attention, config.quantization, device]
    return _digest([weights, *loaded, *_versions()])


def object_identity(model: Any, tokenizer: Any) -> str:
    """The same of a model in memory: every parameter and buffer, byte by byte, and its adapters."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict(keep_vars=True).items()):
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(f"{name}\x00{tensor.dtype}\x00{tuple(tensor.shape)}\n".encode())
        if flat.numel():
            digest.update(flat.view(torch.uint8).numpy())
    device = next(model.parameters()).device.type
    settings = [model.config.to_json_string(use_diff=False), tokenizer_hash(tokenizer), device]
    return _digest([digest.hexdigest(), *settings, *_adapters(model), *_versions()])


def tokenizer_hash(tokenizer: Any) -> str:
    """SHA-256 of vocabulary, merges and special tokens."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        vocabulary: Any = sorted(tokenizer.get_vocab().items())
    else:
        vocabulary = json.loads(backend.to_str())
        for passing in ("padding", "truncation"):  # set anew by every use, and no part of it
            vocabulary.pop(passing, None)
    return _digest([vocabulary, sorted(map(str, tokenizer.all_special_tokens))])


def template_hash(tokenizer: Any) -> str:
    """SHA-256 of the chat template, or ``none``."""
    return _digest(tokenizer.chat_template) if tokenizer.chat_template else "none"


def _without_hub_names(source: ModelSource, config: ModelConfig) -> ModelSource:
    """A source whose hub name is one of a commit; what cannot be told never equals anything."""
    if source.base is not None:
        base = _without_hub_names(source.base, config)
        return ModelSource(source.kind, source.location, base)
    if source.kind != "hub":
        return source
    return ModelSource("hub", f"{source.location}@{_commit(source.location, config.revision)}")


def _commit(name: str, revision: str | None) -> str:
    from transformers.utils.hub import cached_file, extract_commit_hash

    try:
        file = cached_file(name, "config.json", revision=revision or "main")
        found = extract_commit_hash(file, None)
    except (OSError, ValueError):
        found = None
    return found or f"unknown {uuid.uuid4()}"


def _adapters(model: Any) -> list[Any]:
    """What the weights of adapters do not tell: how they are meant, which are on, and how far."""
    made = getattr(model, "peft_config", None) or {}
    active = getattr(model, "active_adapters", None) if made else None
    return [
        {name: _in_order(config.to_dict()) for name, config in made.items()},
        active() if callable(active) else active,
        [
            [name, *(getattr(layer, state, None) for state in _LAYER_STATES)]
            for name, layer in model.named_modules()
            if hasattr(layer, "merged_adapters")
        ],
    ]


def _in_order(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings whose sets, which every process orders otherwise, are lists."""
    return {
        name: sorted(value) if isinstance(value, set) else value for name, value in settings.items()
    }


def _versions() -> list[str]:
    return [f"{package} {version(package)}" for package in _COMPUTED_BY]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

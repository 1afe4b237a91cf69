"""Models that are asked one after another: loaded when first needed, and one base for its adapters.

An adapter and its base are one model with a switch.  Where BEFORE is the base of AFTER the weights
are read once, and only one model is in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from forgetless.models.forward import evaluation_mode
from forgetless.models.load import LoadedModel, adapted, load_model
from forgetless.models.quiet import quiet
from forgetless.models.source import ModelSource
from forgetless.plan import ModelConfig

# Initialisations of LoRA after which the base is still the base once the adapter is off.
_BASE_UNTOUCHED = (True, False, None, "gaussian", "orthogonal", "eva")


class Opening(Protocol):
    """A way to a loaded model."""

    def use(self) -> AbstractContextManager[LoadedModel]:
        """The model for as long as the block lasts, in the state that is meant."""

    def close(self) -> None:
        """Not used again; memory may be let go of.  Once more does nothing."""


class OneModel:
    """A model by its name; in memory from its first use until it is closed."""

    def __init__(self, config: ModelConfig, device: str) -> None:
        self._config = config
        self._device = device
        self._loaded: LoadedModel | None = None

    def use(self) -> AbstractContextManager[LoadedModel]:
        """The model; loaded if it is not."""
        if self._loaded is None:
            self._loaded = load_model(self._config, self._device)
        return nullcontext(self._loaded)

    def close(self) -> None:
        """Let go of the model."""
        self._loaded = None


class InMemory:
    """A model that the caller holds."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._loaded = LoadedModel(model, tokenizer)

    @contextmanager
    def use(self) -> Iterator[LoadedModel]:
        """The model as it is, without the dropout that a training may have left on."""
        with evaluation_mode(self._loaded.model):
            yield self._loaded

    def close(self) -> None:
        """Nothing: the model is the caller's."""


class AdapterRack:
    """A base model and the adapters it can wear, one at a time or none.

    Args:
        config: The base model.
        device: ``cpu``, ``cuda`` or ``mps``.
    """

    def __init__(self, config: ModelConfig, device: str) -> None:
        self._config = config
        self._device = device
        self._loaded: LoadedModel | None = None
        self._names: dict[Path, str] = {}
        self._users = 0

    def wearing(self, adapter: Path | None) -> Opening:
        """The base with an adapter on, or bare."""
        self._users += 1
        return _Worn(self, adapter)

    @contextmanager
    def worn(self, adapter: Path | None) -> Iterator[LoadedModel]:
        """The base wearing one adapter while the block lasts."""
        if self._loaded is None:
            self._loaded = load_model(self._config, self._device)
        if adapter is not None and adapter not in self._names:
            self._put_on(self._loaded, adapter)
        if not self._names:
            yield self._loaded
        elif adapter is None:
            with self._loaded.model.disable_adapter():
                yield self._loaded
        else:
            self._loaded.model.set_adapter(self._names[adapter])
            self._loaded.model.eval()
            yield self._loaded

    def returned(self) -> None:
        """One user less; the last one takes the model along."""
        self._users -= 1
        if self._users == 0:
            self._loaded = None
            self._names.clear()

    def _put_on(self, loaded: LoadedModel, adapter: Path) -> None:
        source = ModelSource("adapter", str(adapter))
        name = f"adapter{len(self._names)}" if self._names else "default"
        with quiet():
            loaded.model = adapted(loaded.model, source, name=name).to(self._device).eval()
        self._names[adapter] = name


class _Worn:
    """One adapter of a rack, or its bare base."""

    def __init__(self, rack: AdapterRack, adapter: Path | None) -> None:
        self._rack = rack
        self._adapter = adapter
        self._returned = False

    def use(self) -> AbstractContextManager[LoadedModel]:
        """The base with this adapter on."""
        return self._rack.worn(self._adapter)

    def close(self) -> None:
        """Give it back to the rack."""
        if not self._returned:
            self._returned = True
            self._rack.returned()


def leaves_base_alone(adapter: Path) -> bool:
    """Whether the base is bit for bit the base while this adapter is switched off.

    Some initialisations of LoRA (PiSSA, OLoRA, CorDA, LoftQ) take what the adapter starts with out
    of the base; trained biases, and layers that were replicated, stay when the adapter is off.
    """
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    return (
        config.get("peft_type") == "LORA"
        and config.get("bias", "none") == "none"
        and not config.get("layer_replication")
        and config.get("init_lora_weights", True) in _BASE_UNTOUCHED
    )

"""From what the user names to models that can be asked; nothing is loaded yet but tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetless.auditing.config import AuditConfig
from forgetless.auditing.result import SubjectInfo
from forgetless.endpoints import PREFIX, EndpointConfig, EndpointSubject
from forgetless.errors import ModelError, UsageError
from forgetless.evaluation.local import LocalSubject
from forgetless.evaluation.subject import Subject
from forgetless.models.identity import model_identity, object_identity
from forgetless.models.load import LoadedModel, load_tokenizer, pick_device
from forgetless.models.opening import AdapterRack, InMemory, OneModel, Opening, leaves_base_alone
from forgetless.models.source import ModelSource, find_model, weights_hash
from forgetless.plan import ModelConfig, make_part


@dataclass(frozen=True)
class Named:
    """A model that was named by text, and where it is."""

    name: str
    config: ModelConfig
    source: ModelSource


def find_subjects(models: Sequence[Any], config: AuditConfig) -> list[Subject]:
    """Find every model of an audit.

    Args:
        models: The model before, then those after: a name, a path, a
            :class:`~forgetless.models.load.LoadedModel`, a pair of model and tokenizer, or anything
            that is a subject already.
        config: Device, dtype, batch size, and whose tokenizer is used.

    Returns:
        One subject each, in order.  Adapters of one base share its weights with the base itself.

    Raises:
        UsageError: for what is no model, or cannot lend its tokenizer.
    """
    with ExitStack() as opened:
        asked = [
            opened.enter_context(closing(_endpoint(model, config)))
            if _names_endpoint(model)
            else model
            for model in models
        ]
        found = _subjects(asked, config)
        opened.pop_all()  # all were found, so they stay open
        return found


def _subjects(models: Sequence[Any], config: AuditConfig) -> list[Subject]:
    """The same where endpoints are open already."""
    device = pick_device(config.device)
    named = {
        place: _named(str(model), config)
        for place, model in enumerate(models)
        if isinstance(model, str | Path)
    }
    tokenizers = [_tokenizer(model, named.get(place)) for place, model in enumerate(models)]
    chosen = _one_tokenizer(tokenizers, config.render_with)
    racks = _racks(list(named.values()), device)
    return [
        _subject(model, named.get(place), chosen[place], racks, config, device)
        for place, model in enumerate(models)
    ]


def describe(subjects: Sequence[Subject]) -> list[SubjectInfo]:
    """What the report says of each, under labels that tell them apart."""
    names = ["before", *_short([subject.name for subject in subjects[1:]])]
    if len(names) == 2:
        names[1] = "after"
    return [
        SubjectInfo(
            label=label,
            name=subject.name,
            kind=subject.kind,
            identity=subject.identity(),
            details=subject.details(),
            notes=tuple(subject.notes()),
        )
        for label, subject in zip(_numbered(names), subjects, strict=True)
    ]


def _short(names: Sequence[str]) -> list[str]:
    """The part of each name in which it differs from the others.

    >>> _short(["runs/plain/stages/2-law/model", "runs/replay/stages/2-law/model"])
    ['plain', 'replay']
    """
    parts = [name.rstrip("/").split("/") for name in names]
    while len(set(names)) > 1 and min(map(len, parts)) > 1 and len({p[-1] for p in parts}) == 1:
        parts = [part[:-1] for part in parts]
    return [part[-1] or name for part, name in zip(parts, names, strict=True)]


def _numbered(names: list[str]) -> list[str]:
    """Names that tell all apart: those that several have, with the place of each.

    >>> _numbered(["before", "law", "law", "law-1"])
    ['before', 'law-1-1', 'law-2', 'law-1-3']
    """
    while len(set(names)) < len(names):
        names = [
            name if names.count(name) == 1 else f"{name}-{place}"
            for place, name in enumerate(names)
        ]
    return names


def _names_endpoint(model: Any) -> bool:
    return isinstance(model, str) and model.startswith(PREFIX)


def _endpoint(name: str, config: AuditConfig) -> Subject:
    return EndpointSubject(EndpointConfig.named(name, config.base_url))


def _named(name: str, config: AuditConfig) -> Named:
    settings = {"dtype": config.dtype, "trust_remote_code": config.trust_remote_code}
    wanted = make_part(ModelConfig, {"name": name, **settings}, "audit")
    return Named(name, wanted, find_model(wanted))


def _tokenizer(model: Any, named: Named | None) -> Any:
    if named is not None:
        return load_tokenizer(named.config)
    if isinstance(model, LoadedModel):
        return model.tokenizer
    if isinstance(model, tuple) and len(model) == 2:
        return model[1]
    if isinstance(model, Subject):
        return None
    raise ModelError(
        f"found {type(model).__name__} where a model was needed",
        fix="give a name, a path, or the pair (model, tokenizer)",
    )


def _one_tokenizer(tokenizers: list[Any], whose: str) -> list[Any]:
    """Everybody's own, or that of one model for all; endpoints have none.

    Raises:
        UsageError: if that one has none, and others need it.
    """
    if whose == "own":
        return tokenizers
    lent = tokenizers[0 if whose == "before" else -1]
    if lent is None and any(own is not None for own in tokenizers):
        raise UsageError(
            f"--render-with {whose}: that model has no tokenizer here, as no endpoint has",
            fix="ask all as local models, or all through endpoints",
        )
    return [None if own is None else lent for own in tokenizers]


def _racks(named: Sequence[Named], device: str) -> dict[str, AdapterRack]:
    """A rack for every base of an adapter that leaves it alone, by the hash of its weights."""
    racks: dict[str, AdapterRack] = {}
    for model in named:
        base = model.source.base
        if base is not None and leaves_base_alone(Path(model.source.location)):
            config = model.config.model_copy(update={"name": base.location})
            racks.setdefault(weights_hash(base), AdapterRack(config, device))
    return racks


def _subject(
    model: Any,
    named: Named | None,
    tokenizer: Any,
    racks: dict[str, AdapterRack],
    config: AuditConfig,
    device: str,
) -> Subject:
    if isinstance(model, Subject):
        return model
    if named is None:
        held, own = (model.model, model.tokenizer) if isinstance(model, LoadedModel) else model
        device = next(held.parameters()).device.type
        name = getattr(held.config, "name_or_path", "") or type(held).__name__
        identity = object_identity(held, own)
        kind: str = "object"
        opening: Opening = InMemory(held, tokenizer)
    else:
        name, kind = named.name, named.source.kind
        identity = model_identity(named.config, named.source, device)
        opening = _opening(named, racks, device)
    details = {"device": device, "dtype": config.dtype}
    if config.trust_remote_code and named is not None:
        details["remote code"] = "trusted"
    return LocalSubject(name, kind, tokenizer, opening, identity, config.batch_size, details)


def _opening(named: Named, racks: dict[str, AdapterRack], device: str) -> Opening:
    source = named.source
    if source.base is not None and leaves_base_alone(Path(source.location)):
        return racks[weights_hash(source.base)].wearing(Path(source.location))
    if source.kind != "hub" and racks and (rack := racks.get(weights_hash(source))):
        return rack.wearing(None)
    return OneModel(named.config, device)


def refuse_endpoints(subjects: Sequence[Subject], why: str, fix: str) -> None:
    """Make sure that all models are local.

    Raises:
        UsageError: naming the first that is not, and why it cannot be asked.
    """
    for subject in subjects:
        if not isinstance(subject, LocalSubject):
            raise UsageError(f"{subject.name}: {why}", fix=fix)

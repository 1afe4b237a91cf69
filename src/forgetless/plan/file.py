"""Plan files: YAML read strictly, single keys replaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from forgetless.errors import PlanError
from forgetless.plan.config import AUTO, Plan
from forgetless.plan.paths import anchored
from forgetless.plan.validation import describe, make_plan


class _Loader(yaml.SafeLoader):
    """YAML without duplicate keys: the later one would silently win."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":  # <<: *other
            continue
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(
                None, None, f"found the key {key!r}, needed text", key_node.start_mark
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"found the key {key!r} twice", key_node.start_mark
            )
        seen.add(key)
    mapping: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return mapping


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_plan(path: Path, overrides: Sequence[str] = ()) -> Plan:
    """Read and validate a plan file.

    Args:
        path: A YAML file.  Paths of data and models in it are relative to its folder.
        overrides: ``key=value`` settings that replace keys, e.g. ``training.learning_rate=5e-5``
            or ``sequence.0.train=other.jsonl``.

    Raises:
        PlanError: naming the file, the key, what was found and what was needed.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise PlanError(
            f"{path}: no such plan file", fix=f"write one:  forgetless init DATA -o {path}"
        ) from None
    except IsADirectoryError:
        raise PlanError(f"{path}: a folder, needed a plan file (YAML)") from None
    except UnicodeDecodeError as error:
        raise PlanError(
            f"{path}: not UTF-8 text (byte {error.start})", fix="save the file as UTF-8"
        ) from None
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise PlanError(f"{path}: not valid YAML: {_yaml_fault(error)}") from None
    except RecursionError:
        raise PlanError(f"{path}: nested too deeply to be a plan") from None
    if not isinstance(data, dict):
        raise PlanError(
            f"{path}: found {describe(data)}, needed a mapping with at least model and sequence",
            fix="see a commented one:  forgetless init --help",
        )
    override(data, overrides)
    data.setdefault("output", f"runs/{path.stem}")
    plan = make_plan(data, where=str(path))
    return anchored(plan, path.resolve().parent)


def override(data: dict[str, Any], settings: Sequence[str]) -> None:
    """Replace keys of a plan that is plain data still, in place.

    Args:
        data: The plan.
        settings: ``key=value``, as in :func:`load_plan`.

    Raises:
        PlanError: for a setting that cannot be read, or that leads nowhere.
    """
    if settings:
        _write_out_short_forms(data)
    for setting in settings:
        _override(data, setting)


def _yaml_fault(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).split("\n")[0]
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)


def _write_out_short_forms(data: dict[str, Any]) -> None:
    """So that an override finds the keys it names."""
    if isinstance(data.get("model"), str):
        data["model"] = {"name": data["model"]}
    if data.get("methods") == AUTO:
        data["methods"] = [AUTO]
    if isinstance(data.get("budget"), str | float):
        data["budget"] = {"loss": data["budget"]}
    for key, name in {"sequence": "train", "test_only": "test", "methods": None}.items():
        if isinstance(data.get(key), list):
            data[key] = [
                item if not isinstance(item, str) else {name: item} if name else {item: {}}
                for item in data[key]
            ]


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise PlanError(
            f"--set {override}: needed KEY=VALUE", fix="e.g.  --set training.learning_rate=5e-5"
        )
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise PlanError(f"--set {override}: {_yaml_fault(error)}") from None
    target: Any = data
    *parents, last = key.split(".")
    for depth, part in enumerate(parents):
        if isinstance(target, list):
            target = target[_index(target, part, override)]
        else:
            if target.get(part) is None:
                target[part] = {}
            target = target[part]
        if not isinstance(target, dict | list):
            place = ".".join(parents[: depth + 1])
            raise PlanError(f"--set {override}: {place} is {describe(target)}, not a mapping")
    if isinstance(target, list):
        target[_index(target, last, override)] = value
    else:
        target[last] = value


def _index(target: list[Any], part: str, override: str) -> int:
    if not part.isdecimal() or int(part) >= len(target):
        needed = f"a number from 0 to {len(target) - 1}" if target else "a list that is not empty"
        raise PlanError(f"--set {override}: found {part!r}, needed {needed}")
    return int(part)

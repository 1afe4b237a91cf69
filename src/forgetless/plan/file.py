"""Plan files: YAML read strictly, single keys replaced."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from forgetless.errors import PlanError
from forgetless.plan.nearby import near_path
from forgetless.plan.paths import anchored
from forgetless.plan.plan import Plan
from forgetless.plan.sources import DATA_SUFFIXES
from forgetless.plan.validation import describe, make_plan

_SURROGATE = re.compile("[\ud800-\udfff]")
LARGEST_FILE = 1_000_000  # bytes; PyYAML takes seconds for that much
PLAN_SUFFIXES = (".yaml", ".yml")
MEND = "mend it; text with signs such as ':' and '#' goes in quotes"
MOST_VALUES = 100_000  # in a plan, aliases written out


class _Loader(yaml.SafeLoader):
    """YAML without duplicate keys: the later one would silently win."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """A node's value; what is not of the type that it is written as has a place as well."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"found {str(node.value)[:40]!r}, which is no {kind}", node.start_mark
            ) from None


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


def _of_no_use(_: _Loader, node: yaml.Node) -> Any:
    kind = node.tag.rpartition(":")[2]
    raise yaml.constructor.ConstructorError(
        None, None, f"found !!{kind}, and nothing in a plan is of that type", node.start_mark
    )


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
for _kind in ("binary", "omap", "pairs", "set"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _of_no_use)


def _load(text: str) -> Any:
    """The one document of some YAML.

    Raises:
        yaml.YAMLError: with the place of the fault.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}) > MOST_VALUES:
            raise yaml.constructor.ConstructorError(
                None, None, f"its aliases stand for more than {MOST_VALUES:,} values",
                node.start_mark,
            )  # fmt: skip
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """Number of values in a node, each alias counted as what it stands for."""
    if id(node) not in known:
        known[id(node)] = 0  # met again below itself: constructing it is refused
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        elif not str(node.value).isascii() and _SURROGATE.search(node.value):
            raise yaml.constructor.ConstructorError(
                None, None, "found half of a surrogate pair, which is no text", node.start_mark
            )
        known[id(node)] = 1 + sum(_values(one, known) for one in inner)
    return known[id(node)]


def load_plan(path: Path, overrides: Sequence[str] = ()) -> Plan:
    """Read and validate a plan file.

    Args:
        path: A YAML file.  Paths of data and models in it are relative to its folder.
        overrides: ``key=value`` settings that replace keys, e.g. ``training.learning_rate=5e-5``
            or ``sequence.0.train=other.jsonl``.

    Raises:
        PlanError: naming the file, the key, what was found and what was needed.
    """
    text = _read(path)
    try:
        data = _load(text)
    except yaml.YAMLError as error:
        raise PlanError(
            f"{path}: not valid YAML: {_yaml_fault(error)}",
            fix=_plan_for(path) or MEND,
        ) from None
    except RecursionError:
        raise PlanError(f"{path}: nested too deeply to be a plan", fix=MEND) from None
    if not isinstance(data, dict):
        raise PlanError(
            f"{path}: found {describe(data)}, needed a mapping with at least model and sequence",
            fix=_plan_for(path) or "see a commented one:  forgetless init --help",
        )
    override(data, overrides)
    if data.get("output") is None:
        data["output"] = f"runs/{path.stem}"
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


def settings_in(text: str | None) -> Mapping[str, Any]:
    """What a saved plan says, unchecked; nothing where there is none or it cannot be read."""
    try:
        found = _load(text or "")
    except (yaml.YAMLError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _plan_for(path: Path) -> str | None:
    """What to type where data stands in the place of a plan."""
    if path.suffix.lower() not in DATA_SUFFIXES:
        return None
    return f"write a plan for this data:  {shlex.join(['forgetless', 'init', str(path)])}"


def _read(path: Path) -> str:
    """The text of a plan file."""
    try:
        if path.is_dir():
            raise PlanError(f"{path}: a folder, needed a plan file (YAML)")
        if path.exists() and not path.is_file():  # a pipe would be waited for without end
            raise PlanError(f"{path}: a pipe or a device, needed a plan file (YAML)")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        near = near_path(path, lambda other: other.suffix in PLAN_SUFFIXES)
        write = f"write one:  forgetless init DATA -o {shlex.quote(str(path))}"
        raise PlanError(
            f"{path}: no such plan file", fix=f"did you mean {near}?" if near else write
        ) from None
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}", fix="check the path") from None
    if len(content) > LARGEST_FILE:
        raise PlanError(
            f"{path}: larger than {LARGEST_FILE / 1e6:g} MB, needed a plan file (YAML)",
            fix="name data files in the plan instead of writing rows into it",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlanError(
            f"{path}: not UTF-8 text (byte {error.start})", fix="save the file as UTF-8"
        ) from None


def _yaml_fault(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).split("\n")[0]
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)


def _write_out_short_forms(data: dict[str, Any]) -> None:
    """So that an override finds the keys it names."""
    if isinstance(data.get("model"), str):
        data["model"] = {"name": data["model"]}
    if isinstance(data.get("methods"), str):
        data["methods"] = [data["methods"]]
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
        value = _load(text)
        if comment := _cut_off(text):
            raise PlanError(
                f"--set {override[:80]}: {comment[:40]!r} is a comment in YAML", fix=MEND
            )
    except yaml.YAMLError as error:
        raise PlanError(f"--set {override[:80]}: {_yaml_fault(error)}", fix=MEND) from None
    except RecursionError:
        raise PlanError(
            f"--set {override[:80]}: nested too deeply to be a setting", fix=MEND
        ) from None
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


def _cut_off(text: str) -> str:
    """What YAML leaves out behind a value that was read."""
    node = yaml.compose(text, yaml.SafeLoader)
    return text[node.end_mark.index if node else 0 :].strip()


def _index(target: list[Any], part: str, override: str) -> int:
    if not part.isdecimal() or len(part) > 9 or int(part) >= len(target):
        needed = f"a number from 0 to {len(target) - 1}" if target else "a list that is not empty"
        raise PlanError(f"--set {override[:80]}: found {part[:20]!r}, needed {needed}")
    return int(part)

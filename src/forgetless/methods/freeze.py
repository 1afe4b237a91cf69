"""Train a part of the model and leave the rest as it is.

Three ways, which may be combined: by depth (``first``, ``last``), by name (``frozen``,
``trained``), and by lot (``share``): of the matrices of every block, and of its norms, that share
is drawn anew in each stage and trained.  A share of 0.5 is half fine-tuning.  Attention, feed
forward and norms each train their share; where it is no whole number, some blocks train one module
more than others, so that the share holds over the model.

Source: Hui et al. 2024, half fine-tuning (arXiv 2404.18466), section 3.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Self

from pydantic import Field, model_validator

from forgetless.errors import ModelError
from forgetless.methods.base import Method
from forgetless.methods.parts.adapters import refuse_adapter
from forgetless.methods.stage import Stage, Workbench
from forgetless.plan import Config


class FreezeConfig(Config):
    """Options of freezing."""

    first: float = Field(
        0, ge=0, description="blocks frozen from the input on: their number, or a share below 1"
    )
    last: int | None = Field(
        None, ge=0, description="blocks at the output that are trained, all others frozen"
    )
    frozen: list[str] = Field(
        [], description="patterns of names, such as '*.mlp' or '*norm*', that are frozen"
    )
    trained: list[str] = Field(
        [], description="patterns of names that are trained, all others frozen"
    )
    share: float = Field(
        1.0, gt=0, le=1, description="share of each block drawn anew and trained in each stage"
    )
    embeddings: bool | None = Field(
        None,
        description="whether the embeddings are trained; not given: unless the first block is "
        "frozen",
    )
    head: bool = Field(True, description="whether the output head is trained")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.first and self.last is not None:
            raise ValueError("first and last both say which blocks are frozen: give one")
        if self.first > 1 and self.first != int(self.first):
            raise ValueError(f"first is a whole number of blocks or a share, found {self.first}")
        return self


class Freeze(Method[FreezeConfig]):
    """Train a part of the model."""

    name = "freeze"
    Config = FreezeConfig
    excludes_sharding = ""

    def __init__(self, config: FreezeConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        if self.config.share < 1:
            self.excludes = {
                "ewc": "share draws what is trained anew in every stage, and importances are those "
                "of weights that their stage trained"
            }

    def acts_in(self, stage: Stage) -> bool:
        """Where anything is frozen."""
        del stage
        config = self.config
        return bool(
            config.first
            or config.last is not None
            or config.frozen
            or config.trained
            or config.share < 1
            or config.embeddings is False
            or not config.head
        )

    def adapt(self, bench: Workbench) -> None:
        """Freeze what this stage does not train."""
        refuse_adapter(bench.model, "freeze chooses among the model's own weights")
        parameters = dict(bench.model.named_parameters())
        free = [name for name, parameter in parameters.items() if parameter.requires_grad]
        frozen = self._by_depth(bench.model) | self._by_name(bench.model)
        if self.config.share < 1:
            rest = {name: parameters[name] for name in free if name not in frozen}
            frozen |= self._by_lot(rest, _blocks(bench.model)[0], bench.stage)
        for name in frozen:
            parameters[name].requires_grad_(False)
        if frozen.issuperset(free):
            raise ModelError(
                f"freeze leaves nothing of {type(bench.model).__name__} to be trained",
                fix="freeze less:  freeze: {first: 0.5}",
            )

    def _by_depth(self, model: Any) -> set[str]:
        """Names of what is frozen with a block, the embeddings or the head."""
        import torch

        below = self._frozen_blocks(model)
        modules = list(_blocks(model)[1][:below]) if below else []
        embeddings = self.config.embeddings
        if embeddings is False or (embeddings is None and below):
            modules += [m for m in model.modules() if isinstance(m, torch.nn.Embedding)]
        if not self.config.head:
            modules += [head for head in [model.get_output_embeddings()] if head is not None]
        names = _names(model)
        return {names[id(parameter)] for module in modules for parameter in module.parameters()}

    def _frozen_blocks(self, model: Any) -> int:
        """How many blocks are frozen, counted from the input."""
        config = self.config
        if not config.first and config.last is None:
            return 0
        count = len(_blocks(model)[1])
        option, asked = ("first", config.first) if config.last is None else ("last", config.last)
        if asked > count:
            raise ModelError(
                f"freeze: {type(model).__name__} has {count} blocks, fewer than {asked:g}",
                fix=f"freeze: {{{option}: {count}}} is the most",
            )
        if config.last is not None:
            return count - config.last
        return int(asked) if asked >= 1 else round(asked * count)

    def _by_name(self, model: Any) -> set[str]:
        """Names of what a pattern freezes, or leaves out of what is trained."""
        frozen = _matching(model, self.config.frozen)
        if self.config.trained:
            frozen |= set(_names(model).values()) - _matching(model, self.config.trained)
        return frozen

    def _by_lot(self, parameters: Mapping[str, Any], place: str, stage: Stage) -> set[str]:
        """Names of what the stage's draw freezes, among parameters of blocks by name."""
        rng = stage.rng("freeze")
        modules: dict[tuple[str, str], list[str]] = {}  # (block, module in it) to its parameters
        for name in parameters:
            if name.startswith(f"{place}."):
                block, _, inside = name.removeprefix(f"{place}.").partition(".")
                modules.setdefault((block, inside.rpartition(".")[0]), []).append(name)
        kinds: dict[tuple[str, bool], dict[str, list[list[str]]]] = {}  # attention, norms, ...
        for (block, module), names in modules.items():
            kind = (module.rpartition(".")[0], any(parameters[n].ndim > 1 for n in names))
            kinds.setdefault(kind, {}).setdefault(block, []).append(names)
        frozen: set[str] = set()
        for blocks in kinds.values():
            due, trained = 0.0, 0
            for block in rng.permutation(list(blocks)).tolist():
                due += self.config.share * len(blocks[block])
                here = math.floor(due + 0.5) - trained
                trained += here
                for index in rng.permutation(len(blocks[block]))[here:]:
                    frozen.update(blocks[block][index])
        return frozen


def _names(model: Any) -> dict[int, str]:
    """Each parameter's name, by identity."""
    return {id(parameter): name for name, parameter in model.named_parameters()}


def _blocks(model: Any) -> tuple[str, Any]:
    """The model's blocks with their name: the list of modules that holds most of the model.

    Raises:
        ModelError: if the model has no list of modules.
    """
    import torch

    lists = [(n, m) for n, m in model.named_modules() if isinstance(m, torch.nn.ModuleList)]
    if not lists:
        raise ModelError(
            f"freeze: {type(model).__name__} is no stack of blocks",
            fix="name what is frozen or trained:  freeze: {frozen: [...]}",
        )
    return max(lists, key=lambda found: sum(p.numel() for p in found[1].parameters()))


def _matching(model: Any, patterns: Iterable[str]) -> set[str]:
    """Names of parameters that a pattern matches, or a module that holds them.

    Raises:
        ModelError: for a pattern that matches nothing.
    """
    names = _names(model)
    found: set[str] = set()
    known: dict[str, set[str]] = {}  # name of a parameter or module to its parameters
    for alias, parameter in model.named_parameters(remove_duplicate=False):
        parts = alias.split(".")
        for end in range(1, len(parts) + 1):
            known.setdefault(".".join(parts[:end]), set()).add(names[id(parameter)])
    for pattern in patterns:
        matched = [name for name in known if fnmatchcase(name, pattern)]
        if not matched:
            parts = {part for name in known for part in (name, name.rpartition(".")[2])}
            near = difflib.get_close_matches(pattern.strip("*."), parts, n=3)
            raise ModelError(
                f"freeze: nothing in {type(model).__name__} has a name like {pattern!r}",
                fix=f"there are {', '.join(near)}"
                if near
                else "patterns match whole names: '*.mlp'",
            )
        found.update(*(known[name] for name in matched))
    return found

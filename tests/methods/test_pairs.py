"""Methods together: any two are refused with a reason or train, save and go on; so some threes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from forgetless.errors import PlanError
from forgetless.methods import METHODS
from forgetless.methods.compose import Compose
from forgetless.models.load import load_model
from forgetless.models.save import save_stage_model
from forgetless.plan import ModelConfig
from tests.methods.test_contract import CASES, TASKS
from tests.training.build import (
    differing,
    end_stage,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
)

# What a user may well want together; a refusal of one of these is a loss.
SENSIBLE = [
    ("replay", "kl", "lora"),
    ("replay", "ewc", "ema"),
    ("self_replay", "kl", "merge"),
    ("replay", "token_weights", "freeze"),
    ("replay", "lora", "merge"),
    ("replay", "der", "lora"),
    ("replay", "kl", "olora"),
    ("replay", "osf", "merge"),
    ("replay", "l2sp", "sfa"),
    ("replay", "agem", "lora"),
    ("on_policy_replay", "kl", "lora"),
    ("self_replay", "token_weights", "lora"),
    ("kl", "ewc", "merge"),
    ("token_weights", "l2sp", "merge"),
    ("replay", "ogd", "ema"),
]

# What would come out wrong, or break, and must not be let through.
SENSELESS = [
    ("joint", "replay"),
    ("si", "ema"),
    ("si", "sfa"),
    ("si", "merge"),
    ("olora", "merge"),
    ("lora", "olora"),
    ("lora", "osf"),
]

# What would take long otherwise, beyond the options under the contract.
SHORT: dict[str, dict[str, Any]] = {
    "self_replay": {"rows": 4, "max_new_tokens": 6},
    "on_policy_replay": {"max_new_tokens": 2},
}


def together(names: Sequence[str]) -> Compose:
    """The methods with their options under the contract, and those that they cannot do without."""
    options: dict[str, Mapping[str, Any]] = {}
    for name in names:
        options |= CASES[name].beside
    options |= {name: CASES[name].on for name in names}
    return Compose(METHODS[n](**{**given, **SHORT.get(n, {})}) for n, given in options.items())


def refusal(names: Sequence[str]) -> str:
    """Why the methods cannot be combined, or nothing."""
    try:
        together(names)
    except PlanError as error:
        return error.message
    return ""


PAIRS = {pair: refusal(pair) for pair in combinations(METHODS, 2)}


def test_two_methods_are_refused_only_with_a_reason() -> None:
    for pair, message in PAIRS.items():
        if message:
            said, _, reason = message.partition(": ")[2].partition(": ")
            assert said.endswith("cannot be combined") or " needs " in said, pair
            assert len(reason.split()) > 3, pair


@pytest.mark.parametrize("names", SENSELESS, ids="+".join)
def test_two_methods_that_make_no_sense_together_are_refused(names: Sequence[str]) -> None:
    assert "cannot be combined" in refusal(names)


@pytest.mark.parametrize("names", [p for p, message in PAIRS.items() if not message], ids="+".join)
def test_two_methods_train_two_stages_and_are_saved(
    names: Sequence[str], tiny_model: Path, tmp_path: Path
) -> None:
    go_through_two_stages(names, tiny_model, tmp_path)


@pytest.mark.parametrize("names", SENSIBLE, ids="+".join)
def test_three_methods_that_make_sense_work(
    names: Sequence[str], tiny_model: Path, tmp_path: Path
) -> None:
    assert refusal(names) == ""
    go_through_two_stages(names, tiny_model, tmp_path)


def go_through_two_stages(names: Sequence[str], model: Path, folder: Path) -> None:
    """Train each stage in fresh objects, from what the one before left on disk."""
    loaded, left = fresh(model), None
    for number in range(len(together(names).stages(one_stage_a_task(TASKS)))):
        methods = together(names)
        stage = methods.stages(one_stage_a_task(TASKS))[number]
        if left is not None:
            methods.restore(left / "methods")
        trained = train(loaded, stage, settings(steps=2), folder / stage.name, methods)
        assert len(trained.losses) == 2
        left = folder / f"{number}-left"
        left.mkdir()
        save_stage_model(loaded.model, loaded.tokenizer, left)
        end_stage(methods, loaded, stage)
        methods.save(left / "methods")
        found = weights(loaded.model)
        assert all(value.isfinite().all() for value in found.values())
        loaded = load_model(ModelConfig(name=str(model)), stage=left)
        assert differing(weights(loaded.model), found) == []

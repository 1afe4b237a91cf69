"""A run whose weights are in parts while they are trained comes to what a plain one comes to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import forgetless
from forgetless.errors import PlanError, UsageError
from forgetless.methods import METHODS
from forgetless.methods.base import Method
from forgetless.result import RunResult
from tests.integration.launching import (
    FSDP2,
    KEPT,
    NOWHERE,
    OWN,
    PARTS,
    RATE,
    WITHIN,
    Plans,
    assert_same,
    carried_out,
    killed_within_a_stage,
    plans_of,
    with_launcher,
)

SLOW: dict[str, list[Any]] = {
    "recomputed": [],
    "joint": ["joint"],
    "replay": [{"replay": KEPT | {"select": "surprise"}}, "der", {"token_weights": {}}, "sfa"],
    "kl": [{"replay": KEPT | {"select": "coverage"}}, {"kl": {"teacher": "cached"}}],
    "self_replay": [{"self_replay": {"ratio": 0.2, **OWN}}, {"merge": {"alpha": "search"}}],
    "on_policy_replay": [{"on_policy_replay": {"ratio": 0.2, "max_new_tokens": 8}}],
    "ewc": [{"ewc": {"mode": "separate", "fisher": "empirical", "strength": 10}}],
    "l2sp": [{"l2sp": {"anchor": "base", "strength": 0.1}}],
    "si": ["si", "agem", {"freeze": {"last": 1}}],
    "lora": ["lora", {"ewc": {"fisher": "sampled"}}, {"l2sp": {"strength": 0.1}}, "ema"],
    "lora_separate": ["lora", {"ewc": {"mode": "separate"}}],
    "dora": [{"lora": {"dora": True, "rank": 4}}],
    "olora": ["olora", {"replay": KEPT}],
}


def refused() -> list[str]:
    return [name for name, method in METHODS.items() if method().excludes_sharding]


def test_every_method_says_whether_it_can_and_those_that_can_are_tried() -> None:
    unsaid = Method.excludes_sharding
    assert [name for name, method in METHODS.items() if method().excludes_sharding == unsaid] == []
    tried = {
        entry if isinstance(entry, str) else next(iter(entry))
        for methods in (*PARTS.values(), *SLOW.values())
        for entry in methods
    } | {"sequential"}
    assert tried == set(METHODS) - set(refused()) | {"kl"}  # with another teacher than usual


@pytest.mark.slow
@pytest.mark.parametrize("arm", SLOW)
def test_every_other_method_with_parts_comes_to_what_it_comes_to_with_all(
    arm: str, every_other: tuple[Plans, Mapping[str, RunResult]]
) -> None:
    plans, together = every_other
    assert_same(forgetless.run(**plans[arm]), together[arm], WITHIN)


@pytest.fixture(scope="module")
def every_other(
    data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Plans, dict[str, RunResult]]:
    """The slow plans, and what two processes came to with each."""
    plans = plans_of(SLOW, data, tmp_path_factory.mktemp("others"), RATE)
    plans["recomputed"]["training"]["gradient_checkpointing"] = True
    return plans, carried_out(
        plans, tmp_path_factory.mktemp("others_together"), dict.fromkeys(plans, FSDP2)
    )


@pytest.mark.slow
@pytest.mark.parametrize("going_on", [FSDP2, {}, None], ids=["parts", "ddp", "alone"])
def test_a_killed_run_goes_on_from_its_checkpoint_however_its_weights_are_laid_out(
    going_on: Mapping[str, str] | None, data: Path, tmp_path: Path
) -> None:
    """Its checkpoint holds weights, optimiser and what methods know as if they were whole."""
    plan = plans_of({"run": [{"replay": KEPT}, "ewc", "ema"]}, data, tmp_path, RATE)["run"]
    whole, gone_on = killed_within_a_stage(plan, tmp_path, FSDP2, going_on)
    assert_same(whole, gone_on, WITHIN)


@pytest.mark.parametrize("name", refused())
def test_a_method_that_cannot_is_refused_with_its_reason_before_anything_is_loaded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_launcher(monkeypatch, FSDP2)
    reason = METHODS[name]().excludes_sharding
    with pytest.raises(PlanError) as caught:
        forgetless.run(**NOWHERE, methods=[name])
    assert caught.value.message == f"methods: {name} cannot work with sharded weights: {reason}"
    assert caught.value.fix is not None
    assert "launch without FSDP" in caught.value.fix


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"budget": "2%", "methods": ["replay"]},
            "budget cannot work with sharded weights: it asks",
        ),
        (
            {"model": {"name": "/nowhere", "quantization": "4bit"}, "methods": ["lora"]},
            "model.quantization 4bit cannot work with sharded weights",
        ),
    ],
)
def test_budget_and_quantised_weights_are_refused_before_anything_is_loaded(
    settings: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_launcher(monkeypatch, FSDP2)
    with pytest.raises(PlanError, match=message):
        forgetless.run(**NOWHERE | settings)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"ACCELERATE_USE_FSDP": "true"}, "launched with FSDP 1"),
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"}, "launched with FSDP 1"),
        (FSDP2 | {"FSDP_OFFLOAD_PARAMS": "true"}, "in the CPU's memory"),
    ],
)
def test_other_ways_to_shard_are_refused_before_anything_is_loaded(
    told: Mapping[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_launcher(monkeypatch, told)
    with pytest.raises(UsageError, match=message):
        forgetless.run(**NOWHERE)

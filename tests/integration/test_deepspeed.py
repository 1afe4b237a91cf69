"""A run whose stages DeepSpeed's engine trains comes to what a plain one comes to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import forgetless
from forgetless.errors import PlanError, UsageError
from forgetless.methods import METHODS
from forgetless.result import RunResult
from tests.integration.launching import (
    KEPT,
    NOWHERE,
    OWN,
    RATE,
    WITHIN,
    Plans,
    assert_same,
    carried_out,
    killed_within_a_stage,
    plans_of,
    with_launcher,
)

ZERO1, ZERO2 = (
    {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": stage}
    for stage in ("1", "2")
)
ARMS: dict[str, list[Any]] = {
    "plain": [],
    "protected": [{"replay": KEPT}, "kl", {"token_weights": {}}],
}
SLOW: dict[str, list[Any]] = {
    "joint": ["joint"],
    "der": ["der", {"replay": KEPT}, {"merge": {"alpha": "search"}}],
    "own": [{"self_replay": {"ratio": 0.2, **OWN}}, {"kl": {"teacher": "cached"}}],
    "on_policy": [{"on_policy_replay": {"ratio": 0.2, "max_new_tokens": 8}}],
    "frozen": [{"freeze": {"last": 1}}],
    "lora": ["lora", "kl"],
}
NOT_INSTALLED = "DeepSpeed is not installed"


def refused() -> list[str]:
    return [name for name, method in METHODS.items() if method.excludes_deepspeed()]


def test_every_method_that_can_is_tried() -> None:
    tried = {
        entry if isinstance(entry, str) else next(iter(entry))
        for methods in (*ARMS.values(), *SLOW.values())
        for entry in methods
    } | {"sequential"}
    assert tried == set(METHODS) - set(refused())


@pytest.mark.parametrize("stage", [ZERO1, ZERO2], ids=["zero1", "zero2"])
def test_two_processes_come_to_what_one_comes_to(
    stage: Mapping[str, str], data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("deepspeed", reason=NOT_INSTALLED)
    (tmp_path / "together").mkdir()
    plans = plans_of(ARMS, data, tmp_path, RATE)
    plans["plain"]["training"]["max_grad_norm"] = 0.5  # the engine clips
    together = carried_out(plans, tmp_path / "together", dict.fromkeys(plans, stage))
    for arm, plan in plans.items():
        assert_same(forgetless.run(**plan), together[arm], WITHIN)
    for rank in (0, 1):
        notes = (tmp_path / "together" / f"plain-{rank}.jsonl").read_text().splitlines()
        for held in map(json.loads, notes):
            assert held["weights"] == held["all"]
            assert held["moments"] == pytest.approx(held["all"], rel=0.01)  # two for each, of half


@pytest.fixture(scope="module")
def every_other(
    data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Plans, dict[str, RunResult]]:
    """The slow plans, and what two processes came to with each."""
    pytest.importorskip("deepspeed", reason=NOT_INSTALLED)
    plans = plans_of(SLOW, data, tmp_path_factory.mktemp("others"), RATE)
    folder = tmp_path_factory.mktemp("others_together")
    return plans, carried_out(plans, folder, dict.fromkeys(plans, ZERO2))


@pytest.mark.slow
@pytest.mark.parametrize("arm", SLOW)
def test_every_other_method_comes_to_what_it_comes_to_without(
    arm: str, every_other: tuple[Plans, Mapping[str, RunResult]]
) -> None:
    plans, together = every_other
    assert_same(forgetless.run(**plans[arm]), together[arm], WITHIN)


@pytest.mark.slow
@pytest.mark.parametrize("going_on", [ZERO2, {}, None], ids=["engine", "ddp", "alone"])
def test_a_killed_run_goes_on_from_its_checkpoint_with_the_engine_or_without(
    going_on: Mapping[str, str] | None, data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("deepspeed", reason=NOT_INSTALLED)
    plan = plans_of({"run": [{"replay": KEPT}, "kl"]}, data, tmp_path, RATE)["run"]
    whole, gone_on = killed_within_a_stage(plan, tmp_path, ZERO2, going_on)
    assert_same(whole, gone_on, WITHIN)


@pytest.mark.parametrize("name", refused())
def test_a_method_that_cannot_is_refused_with_its_reason_before_anything_is_loaded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch)
    with pytest.raises(PlanError) as caught:
        forgetless.run(**NOWHERE, methods=[name])
    reason = METHODS[name].excludes_deepspeed()
    assert caught.value.message == f"methods: {name} cannot work with DeepSpeed: {reason}"
    assert caught.value.fix is not None
    assert "accelerate launch --use_fsdp" in caught.value.fix


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"budget": "2%", "methods": ["replay"]},
            "budget cannot work with DeepSpeed: it acts before and after the optimiser's step",
        ),
        (
            {"model": {"name": "/nowhere", "quantization": "4bit"}, "methods": ["lora"]},
            "model.quantization 4bit cannot work with DeepSpeed",
        ),
    ],
)
def test_budget_and_quantised_weights_are_refused_before_anything_is_loaded(
    settings: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch)
    with pytest.raises(PlanError, match=message):
        forgetless.run(**NOWHERE | settings)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("ZERO_STAGE", "3", "ZeRO 3, which leaves no process weights"),
        ("ZERO_STAGE", "0", "ZeRO 0, needed 1 or 2"),
        ("CONFIG_FILE", "engine.json", "a configuration file of DeepSpeed"),
        ("OFFLOAD_OPTIMIZER_DEVICE", "cpu", "outside of the GPU"),
        ("OFFLOAD_PARAM_DEVICE", "nvme", "outside of the GPU"),
    ],
)
def test_what_a_run_does_not_let_the_engine_do_is_refused_before_anything_is_loaded(
    setting: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, {f"ACCELERATE_DEEPSPEED_{setting}": value})
    with pytest.raises(UsageError, match=message) as caught:
        forgetless.run(**NOWHERE)
    assert caught.value.fix is not None


def test_without_deepspeed_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forgetless.launching.find_spec", {}.get)
    with_launcher(monkeypatch, ZERO2)
    with pytest.raises(UsageError, match="DeepSpeed is not installed") as caught:
        forgetless.run(**NOWHERE)
    assert caught.value.fix == "pip install 'forgetless[deepspeed]'"


def told(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str] | None = None) -> None:
    """What accelerate's launcher would set where DeepSpeed is installed."""
    monkeypatch.setattr("forgetless.launching.find_spec", lambda name: name)
    with_launcher(monkeypatch, {**ZERO2, **(settings or {})})

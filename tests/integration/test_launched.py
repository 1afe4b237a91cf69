"""A plan carried out by two processes comes to what one process comes to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import forgetless
from forgetless.errors import PlanError
from forgetless.plan import TrainingConfig
from forgetless.result import RunResult
from tests.integration.launching import (
    FSDP2,
    KEPT,
    OWN,
    PARTS,
    QUIET,
    RATE,
    WITHIN,
    Plans,
    assert_same,
    carried_out,
    killed_when,
    plans_of,
)
from tests.tiny import colours, write_rows

pytestmark = pytest.mark.system

ARMS: dict[str, list[Any]] = {
    "plain": [],
    "replay": [{"replay": KEPT | {"select": "surprise"}}, "der", {"token_weights": {}}, "ema"],
    "coverage": [{"replay": KEPT | {"select": "coverage"}}, "kl", "sfa"],
    "self_replay": [{"self_replay": {"ratio": 0.2, **OWN}}, "ewc", {"merge": {"alpha": "search"}}],
    "agem": ["agem", "si", {"freeze": {"last": 1}}],
    "ogd": ["ogd", "l2sp"],
    "osf": ["osf"],
    "lora": ["lora", {"ewc": {"fisher": "sampled"}}],
    "olora": ["olora", {"on_policy_replay": {"ratio": 0.2, "max_new_tokens": 8}}],
    "joint": ["joint"],
}
OFTEN = ("plain", "replay", "lora")  # the other arms in the slow tests


@pytest.fixture(scope="module")
def plans(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Plans:
    """A plan for every arm, and one with a budget."""
    folder = tmp_path_factory.mktemp("launched")
    made = plans_of(ARMS | {"budget": []}, data, folder)
    made["budget"] |= {"methods": "auto", "budget": "20%"}
    for task in (*made["budget"]["sequence"], *made["budget"]["test_only"]):
        task["test"] = str(folder / "many.jsonl")
    write_rows(folder / "many.jsonl", colours(0, count=16))
    return made | plans_of(PARTS, data, folder, RATE)


@pytest.fixture(scope="module")
def together(plans: Plans, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunResult]:
    """Plans carried out by two processes."""
    mine = {name: plans[name] for name in (*OFTEN, *PARTS)}
    return carried_out(mine, tmp_path_factory.mktemp("together"), dict.fromkeys(PARTS, FSDP2))


@pytest.fixture(scope="module")
def others(plans: Plans, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunResult]:
    """The other plans carried out by two processes."""
    rest = {name: plan for name, plan in plans.items() if name not in (*OFTEN, *PARTS)}
    return carried_out(rest, tmp_path_factory.mktemp("others"))


@pytest.mark.parametrize("arm", OFTEN)
def test_two_processes_come_to_what_one_comes_to(
    arm: str, plans: Plans, together: Mapping[str, RunResult]
) -> None:
    assert_same(forgetless.run(**plans[arm]), together[arm])


@pytest.mark.slow
@pytest.mark.parametrize("arm", [*(arm for arm in ARMS if arm not in OFTEN), "budget"])
def test_two_processes_come_to_what_one_comes_to_under_every_method(
    arm: str, plans: Plans, others: Mapping[str, RunResult]
) -> None:
    assert_same(forgetless.run(**plans[arm]), others[arm])


@pytest.mark.parametrize("arm", PARTS)
def test_two_processes_with_parts_of_the_weights_come_to_what_one_with_all_comes_to(
    arm: str, plans: Plans, together: Mapping[str, RunResult]
) -> None:
    assert_same(forgetless.run(**plans[arm]), together[arm], WITHIN)


def test_each_process_with_parts_holds_half_of_all_that_is_as_large_as_the_weights(
    together: Mapping[str, RunResult],
) -> None:
    def held(arm: str, rank: int) -> list[dict[str, int]]:
        notes = together[arm].path.with_name(f"{arm}-{rank}.jsonl")
        return [json.loads(line) for line in notes.read_text().splitlines()]

    for arm in PARTS:
        for ours, theirs in zip(held(arm, 0), held(arm, 1), strict=True):
            assert ours["weights"] + theirs["weights"] == ours["all"]
            assert ours["weights"] == pytest.approx(ours["all"] / 2, rel=0.01)
            assert ours["moments"] == 2 * ours["weights"]
    # where l2sp pulls to and ema's average, and from the second stage on what ewc keeps
    beside = [stage["beside"] / stage["weights"] for stage in held("protected in parts", 0)]
    assert beside == [2, 4]
    assert [stage["weights"] / stage["all"] for stage in held("plain", 0)] == [1, 1]


def test_nothing_is_left_of_what_processes_wrote_apart(together: Mapping[str, RunResult]) -> None:
    folder = together["plain"].path
    assert not list(folder.rglob("scores.part-*"))
    assert not (folder / ".lock.json").exists()


def test_rows_that_processes_cannot_share_are_refused_before_loading(
    plans: Plans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(PlanError, match=r"a step has 4 rows .* which 3 processes cannot share"):
        forgetless.run(**plans["plain"] | {"output": str(tmp_path / "run")})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("batch", "accumulation", "processes", "shared"),
    [(4, 4, 2, (4, 2)), (8, 1, 2, (4, 1)), (4, 3, 2, (3, 2)), (1, 8, 8, (1, 1)), (5, 1, 1, (5, 1))],
)
def test_a_step_learns_from_as_many_rows_however_many_share_them(
    batch: int, accumulation: int, processes: int, shared: tuple[int, int]
) -> None:
    config = TrainingConfig(batch_size=batch, accumulation=accumulation)
    assert config.batch_of(processes) == shared
    assert shared[0] * shared[1] * processes == config.rows_per_step
    assert shared[0] <= batch


def test_a_run_that_two_processes_began_is_finished_by_one(
    plans: Plans, together: Mapping[str, RunResult], tmp_path: Path
) -> None:
    plan = plans["plain"] | {"output": str(tmp_path / "run")}
    killed_when(lambda run: any(run.glob("stages/1-*/checkpoints")), plan, tmp_path)
    finished = forgetless.run(**plan)
    for one, two in zip(finished.results.scores, together["plain"].results.scores, strict=True):
        assert one == two


def test_only_a_run_is_carried_out_by_several_processes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "forgetless", "report", str(tmp_path)],
        env=os.environ | QUIET | {"WORLD_SIZE": "2", "RANK": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "2 processes were launched, and only  forgetless run  shares its work" in done.stderr

"""``forgetless compare`` from the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetless.cli.compare import next_command
from forgetless.comparing.result import Comparison
from forgetless.plan import load_plan
from tests.cli.conftest import Forgetless
from tests.integration.conftest import data, settings  # noqa: F401
from tests.report.fake_runs import write_arms
from tests.report.test_comparison import arm

pytestmark = pytest.mark.system


@pytest.fixture
def plan_file(data: Path, tmp_path: Path) -> Path:  # noqa: F811
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(settings(data, tmp_path / "out")))
    return file


@pytest.mark.slow  # every run has a process of its own
def test_a_comparison_writes_its_files_and_says_what_to_type_next(
    forgetless: Forgetless, plan_file: Path, tmp_path: Path
) -> None:
    code, out, err = forgetless(
        *("compare", str(plan_file), "--methods", "replay", "--rates", "3e-3", "-q")
    )
    assert (code, err) == (0, "")
    assert "runs of the comparison" not in out  # quiet
    names = {file.name for file in (tmp_path / "out").iterdir() if file.is_file()}
    assert names >= {"compare.json", "compare.md", "report.html"}
    found = json.loads((tmp_path / "out" / "compare.json").read_text())
    taken = found["recommended"] is not None
    assert ("recommended.yaml" in names) is taken
    assert ("to have the model: forgetless run" in out) is taken
    assert [arm["name"] for arm in found["arms"]] == ["sequential", "joint", "replay"]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Comparison:
    """What every comparison of this test comes to: replay is to be taken."""
    plain, replay, ewc, joint = (
        f"runs/{run.name}" for run in write_arms(tmp_path / "out" / "runs")
    )
    arms = [arm("sequential", 0.9, 0.8, 0.3), arm("joint", None, None, 0.95),
            arm("replay", 0.92, 0.3, 0.6), arm("ewc", 0.8, 0.1, 0.7)]  # fmt: skip
    methods: dict[str, Any] = {"replay": ({"replay": {"ratio": 0.3}},)}
    result = Comparison(
        model="m",
        tasks=("medical", "legal"),
        arms=tuple(
            replace(one, run=run, methods=methods.get(one.name, ()))
            for one, run in zip(arms, (plain, joint, replay, ewc), strict=True)
        ),
        recommended="replay",
        reasons=("Take replay.",),
        items={"medical": 20, "legal": 20},
        level=0.95,
        pilot=1.0,
        seeds=(0,),
        budget="",
        created="2026-01-01T00:00:00+00:00",
    )
    monkeypatch.setattr("forgetless.comparing.compare.compare", lambda *_, **__: result)
    return result


def test_what_is_recommended_is_a_plan_to_run(
    forgetless: Forgetless, plan_file: Path, tmp_path: Path, found: Comparison
) -> None:
    code, out, err = forgetless("compare", plan_file, "-q")
    assert (code, err) == (0, "")
    names = {file.name for file in (tmp_path / "out").iterdir() if file.is_file()}
    assert names >= {"compare.json", "compare.md", "compare.html", "report.html"}
    recommended = tmp_path / "out" / "recommended.yaml"
    assert out.endswith(f"to have the model: forgetless run {recommended}\n")
    plan = load_plan(recommended)
    assert [(spec.name, dict(spec.options)) for spec in plan.methods] == [
        ("replay", {"ratio": 0.3})
    ]
    assert (plan.training.learning_rate, plan.training.equal_tokens) == (1e-3, True)
    assert Path(plan.output) == tmp_path / "out" / "recommended"


def test_a_plan_recommended_before_is_gone_where_nothing_is_recommended(
    forgetless: Forgetless,
    plan_file: Path,
    tmp_path: Path,
    found: Comparison,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forgetless("compare", plan_file, "-q")
    none = replace(found, recommended=None, reasons=("Nothing helps.",))
    monkeypatch.setattr("forgetless.comparing.compare.compare", lambda *_, **__: none)
    code, out, _ = forgetless("compare", plan_file, "-q")
    assert code == 0
    assert out.endswith("nothing is recommended, so there is no recommended.yaml\n")
    assert not (tmp_path / "out" / "recommended.yaml").exists()


def test_where_every_arm_failed_the_table_says_why_and_the_command_ends_with_1(
    forgetless: Forgetless,
    plan_file: Path,
    found: Comparison,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arms = tuple(replace(one, run="", failed="the disk was full") for one in found.arms)
    why = ("No protection could be measured, so none can be recommended.",)
    none = replace(found, arms=arms, recommended=None, reasons=why)
    monkeypatch.setattr("forgetless.comparing.compare.compare", lambda *_, **__: none)
    code, out, err = forgetless("compare", plan_file, "-q")
    assert (code, err) == (1, "")
    assert why[0] in out
    assert "replay: the disk was full" in out


def test_json_is_all_that_is_printed(
    forgetless: Forgetless, plan_file: Path, tmp_path: Path, found: Comparison
) -> None:
    code, out, _ = forgetless("compare", plan_file, "-q", "--json")
    assert code == 0
    assert out == (tmp_path / "out" / "compare.json").read_text() + "\n"
    assert json.loads(out)["recommended"] == "replay"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--methods", "nonsense"], "there is no method 'nonsense'"),
        (["--rates", "fast"], "needed numbers between 0 and 1"),
        (["--rates", "2"], "needed numbers between 0 and 1"),
        (["--on", "there"], "--on there: needed ray, or nothing"),
        (["--set", "sequence=[]"], "sequence is empty"),
    ],
)
def test_wrong_usage_is_told_and_leaves_nothing(
    forgetless: Forgetless, plan_file: Path, tmp_path: Path, arguments: list[str], told: str
) -> None:
    code, _, err = forgetless("compare", str(plan_file), *arguments)
    assert code == 2
    assert told in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("recommended", "pilot", "told"),
    [
        ("replay", 1.0, "to have the model: forgetless run out/recommended.yaml"),
        ("replay", 0.1, "to have the model: forgetless run out/recommended.yaml"),
        (None, 1.0, "nothing is recommended, so there is no recommended.yaml"),
        (None, 0.1, "to know more, without --pilot: forgetless compare 'my plan.yaml' --seeds 3"),
    ],
)
def test_what_is_not_recommended_is_not_called_the_model_to_have(
    recommended: str | None, pilot: float, told: str
) -> None:
    found = Comparison("m", (), (), recommended, (), {}, 0.95, pilot, (0,), "", "now")
    typed = ["compare", "my plan.yaml", "--pilot", "--seeds", "3"]
    assert next_command(found, typed, Path("out")) == told

"""``forgetless compare`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from forgetless.cli.compare import next_command
from forgetless.comparing.result import Comparison
from tests.cli.conftest import Forgetless
from tests.integration.conftest import data, settings  # noqa: F401


@pytest.fixture
def plan_file(data: Path, tmp_path: Path) -> Path:  # noqa: F811
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(settings(data, tmp_path / "out")))
    return file


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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--methods", "nonsense"], "there is no method 'nonsense'"),
        (["--rates", "fast"], "needed numbers between 0 and 1"),
        (["--rates", "2"], "needed numbers between 0 and 1"),
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
        (None, 0.1, "to know more, without --pilot: forgetless compare plan.yaml"),
    ],
)
def test_what_is_not_recommended_is_not_called_the_model_to_have(
    recommended: str | None, pilot: float, told: str
) -> None:
    found = Comparison("m", (), (), recommended, (), {}, 0.95, pilot, (0,), "", "now")
    assert next_command(found, Path("plan.yaml"), Path("out")) == told

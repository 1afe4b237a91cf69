"""The demo on the real model: plain training forgets, replay keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from forgetless.cli.demo import plans
from forgetless.result import RunResult


def test_the_demo_compares_plain_training_with_replay() -> None:
    """And nothing else differs, so that both share what they have in common."""
    plain, protected = plans("bundled:smollm2-135m-instruct", Path("runs"))
    assert plain.methods == ()
    assert [method.name for method in protected.methods] == ["replay"]
    same = {"methods", "output"}
    assert plain.model_dump(exclude=same) == protected.model_dump(exclude=same)


@pytest.mark.slow
def test_the_demo_shows_a_loss_and_its_prevention(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "forgetless", "demo", "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    plain = RunResult(tmp_path / "plain")
    protected = RunResult(tmp_path / "protected")
    learned = plain.matrix.score(1, "medical")
    assert learned > 0.6
    assert plain.matrix.score(2, "medical") < learned - 0.5
    assert protected.matrix.score(2, "medical") > plain.matrix.score(2, "medical") + 0.4
    for run in (plain, protected):
        assert run.matrix.score(2, "legal") > run.matrix.score(0, "legal")
    for question in ("Explain symptoms of diabetes.", "Explain contract breach consequences."):
        assert question in done.stdout
    assert (tmp_path / "report.html").is_file()

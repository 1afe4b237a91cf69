"""What a start costs: nothing fast is measured of what failed, and torch is found where it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.startup import Start

from benchmarks import startup


def test_neither_the_import_nor_the_help_imports_torch(tmp_path: Path) -> None:
    for arguments in (["-c", "import forgetless"], ["-m", "forgetless", "--help"]):
        found = startup.imported(Start("ours", arguments), tmp_path)
        assert "forgetless.errors" in found
        assert not found & {"torch", "transformers", "numpy"}


def test_modules_are_those_that_a_process_imports(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("import colorsys\n")
    plain, lazy = (Start("a", ["-c", code]) for code in ("import torch", "def f():\n import torch"))
    assert {"torch", "colorsys"} <= startup.imported(plain, tmp_path)
    assert not {"torch", "colorsys"} & startup.imported(lazy, tmp_path)


def test_time_of_a_process_and_of_those_that_it_starts_is_counted(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    behind = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    for code in (busy, behind):
        assert startup.started(Start("busy", ["-c", code]), tmp_path)[0] >= 0.3
    assert startup.started(Start("idle", ["-c", "import time; time.sleep(0.3)"]), tmp_path)[0] < 0.3


def test_a_start_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"broken ended with 3"):
        startup.started(Start("broken", ["-c", "raise SystemExit(3)"]), tmp_path)
    startup.started(
        Start("a verdict", ["-c", "raise SystemExit(3)"], codes=frozenset({0, 3})), tmp_path
    )


@pytest.mark.slow
def test_the_whole_script_runs_and_has_a_line_for_every_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    startup.main(repeats=1, log=False)
    told = capsys.readouterr().out
    for name in ("import forgetless", "forgetless --help", "forgetless audit"):
        assert f"\n| {name} | " in told

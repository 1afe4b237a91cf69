"""Under DDP each process asks its share, and all take the same decision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.training.build import differing, fresh, weights

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]


def test_two_processes_stop_at_one_step_and_go_back_to_the_same_weights(
    tiny_model: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"),
            *("--standalone", "-m", "tests.guard.launched"),
            *(str(tiny_model), str(tmp_path), "2"),
        ],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (
        json.loads((tmp_path / f"{rank}-of-2.json").read_text(encoding="utf-8")) for rank in (0, 1)
    )
    assert first == second
    assert first["rolled_back_to"] == 0
    assert first["stopped_at"] == first["trained"] == first["steps"][-1] < 30
    assert first["first"] == {str(n): 1.0 for n in range(40)}
    start = weights(fresh(tiny_model).model)
    for rank in (0, 1):
        assert differing(load_file(tmp_path / f"{rank}-of-2.safetensors"), start) == []

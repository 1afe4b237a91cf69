"""A protected trainer under DDP learns what one process with the same global batch learns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

from tests.training.build import differing, distance, fresh, weights

ROOT = Path(__file__).parents[2]


def launch(model: Path, folder: Path, processes: int, rows: int) -> None:
    script = ["-m", "tests.training.launched", str(model), str(folder), str(rows)]
    several = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes)]
    several += ["--standalone"]
    done = subprocess.run(
        [sys.executable, *(several if processes > 1 else []), *script],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_processes_learn_what_one_learns_with_the_same_global_batch(
    tiny_model: Path, tmp_path: Path
) -> None:
    launch(tiny_model, tmp_path, processes=1, rows=4)
    launch(tiny_model, tmp_path, processes=2, rows=2)
    one = load_file(tmp_path / "0-of-1.safetensors")
    first, second = (load_file(tmp_path / f"{rank}-of-2.safetensors") for rank in (0, 1))
    assert differing(first, second) == []
    way = distance(one, weights(fresh(tiny_model).model))
    assert way > 0.05
    assert distance(one, first) < 0.01 * way

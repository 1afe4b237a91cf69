"""A protected trainer in several processes learns what one with the same global batch learns."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.training.build import differing, distance, fresh, weights
from tests.training.launched import main

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]


def launch(
    model: Path,
    folder: Path,
    processes: int,
    rows: int,
    which: str,
    told: Mapping[str, str] | None = None,
) -> None:
    script = ["-m", "tests.training.launched", str(model), str(folder), str(rows), which]
    several = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes)]
    several += ["--standalone"]
    done = subprocess.run(
        [sys.executable, *(several if processes > 1 else []), *script],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **(told or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_processes_learn_what_one_learns_with_the_same_global_batch(
    tiny_model: Path, tmp_path: Path
) -> None:
    main(tiny_model, tmp_path, rows=4, which="all")
    launch(tiny_model, tmp_path, processes=2, rows=2, which="all")
    assert_same(tiny_model, tmp_path, within=0.01)


@pytest.mark.parametrize("stage", ["1", "2"])
def test_so_do_two_processes_under_deepspeed(stage: str, tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("deepspeed", reason="DeepSpeed is not installed")
    launch(tiny_model, tmp_path, processes=1, rows=4, which="engine")
    told = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": stage}
    launch(tiny_model, tmp_path, processes=2, rows=2, which="engine", told=told)
    assert_same(tiny_model, tmp_path, within=1e-4)


def assert_same(model: Path, folder: Path, within: float) -> None:
    """Both processes have the weights of one, up to a share of the way that these have gone."""
    one = load_file(folder / "0-of-1.safetensors")
    first, second = (load_file(folder / f"{rank}-of-2.safetensors") for rank in (0, 1))
    assert differing(first, second) == []
    way = distance(one, weights(fresh(model).model))
    assert way > 0.05
    assert distance(one, first) < within * way

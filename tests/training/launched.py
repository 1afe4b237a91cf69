"""A protected training of three stages, to be launched as one process or as several.

python -m tests.training.launched MODEL FOLDER ROWS_PER_PROCESS all|engine

With ``engine`` the methods are those that can act under DeepSpeed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from forgetless.methods import AGEM, EMA, EWC, KL, Merge, Replay, TokenWeights
from forgetless.methods.base import Method
from forgetless.training.protect import protect
from tests.training.trainers import made, state_of, tokenised


def main(model: Path, folder: Path, rows: int, which: str) -> None:
    engine = "ACCELERATE_USE_DEEPSPEED" in os.environ
    settings: dict[str, Any] = {
        "per_device_train_batch_size": rows,
        "optim": "sgd",
        "learning_rate": 0.05,
        "max_steps": 8,  # the second stage has 4 an epoch, the second with other rehearsed rows
        "use_cpu": not engine,  # accelerate has it on GPUs alone, or where it is not told of none
        "ddp_backend": "gloo" if engine else None,
    }
    methods: list[Method[Any]] = [
        *(Replay(ratio=0.25), KL(strength=0.5, teacher="copy"), TokenWeights(kind="flow")),
        Merge(alpha=0.8),
    ]
    if which == "all":
        methods += [EWC(strength=0.1), AGEM(rows=4), EMA(decay=0.5)]
    first = protect(made("transformers", model, folder, **settings), methods)
    first.train()
    first.protection.end_stage()
    second = made("transformers", model, folder, offset=1, model=first.model, **settings)
    protect(second, first.protection)
    second.train()
    second.protection.end_stage()
    second.train_dataset = tokenised(second.processing_class, offset=2)
    second.train()
    assert engine == second.is_deepspeed_enabled
    processes, rank = second.args.world_size, second.args.process_index
    save_file(state_of(second), folder / f"{rank}-of-{processes}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])

"""A guarded training, to be launched as one process or as several.

python -m tests.guard.launched MODEL FOLDER ROWS_PER_PROCESS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from safetensors.torch import save_file

from forgetless.guard import RetentionGuard
from tests.guard.build import RUINOUS, known_task
from tests.training.trainers import made, state_of


def main(model: Path, folder: Path, rows: int) -> None:
    guard = RetentionGuard([known_task(model)], every=2, on_break="rollback")
    trainer = made(
        "transformers",
        model,
        folder,
        callbacks=[guard],
        per_device_train_batch_size=rows,
        num_train_epochs=10,
        **RUINOUS,
    )
    trainer.train()
    name = f"{trainer.args.process_index}-of-{trainer.args.world_size}"
    save_file(state_of(trainer), folder / f"{name}.safetensors")
    found = {
        "steps": [check.step for check in guard.history],
        "first": dict(guard.history[0].cells["known"].scores),
        "last": dict(guard.history[-1].cells["known"].scores),
        "stopped_at": guard.stopped_at,
        "rolled_back_to": guard.rolled_back_to,
        "trained": trainer.state.global_step,
    }
    (folder / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))

"""What transformers' Trainer can report to, over all stages of a run.

Each stage has a Trainer of its own, whose steps begin at 1.  A tracker is opened once for the run,
and its steps go on from stage to stage.  A run that was killed repeats the steps since its last
checkpoint; how far the trackers were told is kept in a file, so that none is told of a step twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forgetless.errors import UsageError
from forgetless.plan import TrainingConfig

TOLD = ".told"


class Trackers:
    """The trackers of a run, open.

    Args:
        names: As ``report_to`` of the Trainer.
        folder: The run folder; TensorBoard writes below it, and so does what was told.
        config: Training settings, which trackers note.
        device: ``cpu``, ``cuda`` or ``mps``.

    Raises:
        UsageError: if a tracker cannot be opened.
    """

    def __init__(
        self, names: Sequence[str], folder: Path, config: TrainingConfig, device: str
    ) -> None:
        from transformers import TrainerControl, TrainerState
        from transformers.integrations.integration_utils import (
            TensorBoardCallback,
            get_reporting_integration_callbacks,
        )

        from forgetless.training.stage import training_arguments

        self._arguments = training_arguments(config, 1, folder, device, config.seed)
        self._arguments.run_name = folder.name
        self._state, self._control = TrainerState(), TrainerControl()
        try:
            self._callbacks = [kind() for kind in get_reporting_integration_callbacks(list(names))]
        except (ImportError, RuntimeError) as error:
            raise UsageError(
                f"training.report_to: {error}", fix=f"pip install {' '.join(names)}"
            ) from error
        for callback in self._callbacks:
            if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
                callback.logging_dir = str(folder / "tensorboard")
        self._told_file = folder / TOLD
        self._told = _read(self._told_file)
        self._call("on_train_begin")

    def step(self, before: int, step: int, logs: Mapping[str, float]) -> None:
        """Tell of an optimiser step.

        Args:
            before: Steps of all stages before this one.
            step: The step in its stage, from 1.
            logs: What the Trainer logs of it.
        """
        self._tell(before + step, 0, logs)

    def stage(self, steps: int, figures: Mapping[str, float]) -> None:
        """Tell what was measured after a stage.

        Args:
            steps: Steps of all stages up to and with it; 0 for the untouched model.
            figures: By name; trackers show them apart from those of training.
        """
        self._tell(steps, 1, {f"eval_{name}": value for name, value in figures.items()})

    def close(self) -> None:
        """Let the trackers write what they hold."""
        self._call("on_train_end")

    def _tell(self, step: int, after: int, logs: Mapping[str, float]) -> None:
        """Tell of a step, or of what came after it, unless that was done before a kill."""
        place = 2 * step + after
        if place <= self._told:
            return
        self._state.global_step = step
        finite = {name: value for name, value in logs.items() if math.isfinite(value)}
        self._call("on_log", logs=finite)
        self._told = place
        _write(self._told_file, place)

    def _call(self, event: str, **more: Any) -> None:
        for callback in self._callbacks:
            call = getattr(callback, event)
            call(self._arguments, self._state, self._control, model=None, **more)


def _read(file: Path) -> int:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return -1


def _write(file: Path, place: int) -> None:
    """In place and without a flush: after every step, and at worst one step is told again."""
    with file.open("r+b" if file.exists() else "wb") as opened:
        opened.write(f"{place:>20}".encode())

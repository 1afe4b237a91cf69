"""The work on one stage where this machine trains and scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from forgetless.errors import RunFailed
from forgetless.layout import SCORES, WEIGHTS
from forgetless.methods.stage import Stage, Workbench
from forgetless.models.reach import Reach
from forgetless.plan import TrainingConfig
from forgetless.processes import first_does
from forgetless.stagework import StageWork
from forgetless.storage import write_lines
from forgetless.tasks.examples import Encoder

if TYPE_CHECKING:
    from forgetless.models.load import LoadedModel
    from forgetless.training.schedule import Schedule


class LocalWork(StageWork):
    """Trains, shares and scores the stages of one experiment on this machine."""

    _in_memory: tuple[str, LoadedModel] | None = None  # the stage that left it so

    def train(self, stage: Stage, start: Stage) -> None:
        """Train the stage from where ``start`` ended; the untouched model is only loaded."""
        if stage.number == 0:
            self._model(stage)  # one that cannot be had leaves no stage on record
            self._record_trained(stage, None)
            return
        from forgetless.models.save import save_stage_model
        from forgetless.training.schedule import build_schedule
        from forgetless.training.stage import resume_point, train_stage

        path = self._folder.stage_path(stage.name)
        loaded = self._model(start)
        self._in_memory = None  # from here on it is no longer what ``start`` left
        self._progress.working("tokenising")
        bench = self._bench_of(stage, loaded)
        resumed = resume_point(path / "checkpoints", self._methods)
        self._methods.adapt(bench)
        schedule = build_schedule(bench, self._methods, self._config)
        self._warn_of_length(stage, schedule)
        self._note_begun(stage)
        before = self._steps_before(stage.number)

        def stepped(step: int, steps: int, logs: Mapping[str, float]) -> None:
            self._progress.trained(step, steps, logs["loss"])
            if self._trackers is not None:
                self._trackers.step(before, step, logs)

        doing = (
            f"{stage.name}: out of memory while training {self._config.batch_size} rows at a time"
        )
        with out_of_memory_explained(doing, _smaller_batches(self._config)):
            training = train_stage(
                bench,
                schedule,
                self._methods,
                self._config,
                path / "checkpoints",
                stepped,
                resumed,
                sharding=self._experiment.sharding,
            ).to_json()
        loaded.model = bench.model
        self._progress.working("saving the model")

        def saved() -> None:
            save_stage_model(loaded.model, loaded.tokenizer, path)
            write_lines(path / "train.jsonl", schedule.lines())

        first_does(saved)
        self._in_memory = (stage.name, loaded)
        self._record_trained(stage, training, bench)
        if self._methods.must_train:
            self._take_scores(stage)

    def score(self, stage: Stage) -> None:
        """Score every task and ask the open questions."""
        from forgetless.evaluation.store import score_stage
        from forgetless.models.forward import only_asked

        size = self._config.scoring_batch_size
        doing = f"{stage.name}: out of memory while scoring {size} sequences at a time"
        smaller = f"--set training.scoring_batch_size={size // 2}" if size > 1 else None
        with out_of_memory_explained(doing, smaller):
            loaded = self._model(stage)
            with only_asked(loaded.model):
                scoring = score_stage(
                    loaded,
                    self._experiment.tasks,
                    self._experiment.plan.ask,
                    size,
                    self._folder.stage_path(stage.name),
                    self._progress.scored,
                    self._still_scored(stage),
                )
        self._record_scored(stage, scoring)

    def _still_scored(self, stage: Stage) -> frozenset[str]:
        """Tasks that the stage's scores on disk hold as they would be asked now."""
        entry = self._folder.entry(stage.name)
        assert entry is not None
        if not self._folder.sound(stage.name, SCORES):
            return frozenset()
        before = entry.get("scored_tasks", {})  # an older version did not note it
        now = self._experiment.scoring_fingerprints()
        return frozenset(name for name, asked in now.items() if before.get(name) == asked)

    def _warn_of_length(self, stage: Stage, schedule: Schedule) -> None:
        """Say, now and in the report, how many rows were not learned as they stand."""
        for count, what in ((schedule.dropped, "left out"), (schedule.truncated, "cut short")):
            if count:
                self._warn(f"{stage.name}: {count} training rows were too long and {what}")

    def _model(self, stage: Stage) -> LoadedModel:
        """The model as a stage left it: the one in memory if it is that, else from disk."""
        from forgetless.models.load import load_model

        if self._in_memory is None or self._in_memory[0] != stage.name:
            self._in_memory = None  # let go of the old one before loading another
            self._progress.working("loading the model")
            path = self._folder.verify(stage.name, *WEIGHTS) if stage.number else None
            loaded = load_model(self._experiment.plan.model, self._experiment.device, path)
            self._in_memory = (stage.name, loaded)
            self._folder.describe(loaded, self._experiment.tasks)
        return self._in_memory[1]

    def _bench(self, stage: Stage) -> Workbench:
        """The stage with its model as it was left."""
        return self._bench_of(stage, self._model(stage))

    def _bench_of(self, stage: Stage, loaded: LoadedModel) -> Workbench:
        """A stage's model and rows, as methods see them."""
        scratch = self._folder.stage_path(stage.name)
        encoder = Encoder(loaded.tokenizer, self._config, Reach.of(loaded.model), scratch)
        return Workbench(stage, loaded.model, loaded.tokenizer, encoder)


@contextmanager
def out_of_memory_explained(doing: str, fix: str | None = None) -> Iterator[None]:
    """Turn memory that ends into a message.

    Args:
        doing: The stage, and what it took the memory for.
        fix: The settings that take less.

    Raises:
        RunFailed: when a device, or the machine, has no more memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if _wants_memory(error):
            raise RunFailed(f"{doing}; everything finished before is kept", fix=fix) from error
        raise


def _wants_memory(error: Exception) -> bool:
    """Whether an error says that memory ended, in the words of torch, CUDA or Python itself."""
    from accelerate.utils.memory import should_reduce_batch_size

    return (
        isinstance(error, MemoryError)
        or "CUDA error: out of memory" in str(error)
        or should_reduce_batch_size(error)
    )


def _smaller_batches(config: TrainingConfig) -> str | None:
    """Settings that train as many rows in a step with less memory; None where there are none."""
    rows, elsewhere = config.batch_size, "--set output=runs/other"
    if rows > 1:
        fewer = next(size for size in range(rows // 2, 0, -1) if rows % size == 0)
        accumulation = config.accumulation * rows // fewer
        return (
            f"--set training.batch_size={fewer} --set training.accumulation={accumulation} "
            + elsewhere
        )
    if not config.gradient_checkpointing:
        return f"--set training.gradient_checkpointing=true {elsewhere}"
    return None

"""The work on one stage; each step leaves the run folder able to go on from there."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from forgetless.errors import RunFailed
from forgetless.layout import ASKED, BEGUN_WITH, WEIGHTS, stage_folder, stage_name
from forgetless.methods.stage import Stage, Workbench
from forgetless.preparation import Experiment
from forgetless.processes import first, first_does
from forgetless.progress import Progress
from forgetless.runfolder import CARD, RunFolder, hash_files
from forgetless.sharing import share_files, share_scores, trained_stage
from forgetless.storage import write_text

if TYPE_CHECKING:
    from forgetless.training.trackers import Trackers


class StageWork(ABC):
    """What is on record of the stages of one experiment in one folder.

    Who trains and scores them is said by its two kinds:
    :class:`~forgetless.localwork.LocalWork`, and :class:`~forgetless.hosted.work.HostedWork` where
    a provider keeps the model.

    Args:
        experiment: The plan made concrete.
        folder: Its open run folder.
        progress: Is told what happens.
        share_with: Other run folders whose identical stages may be taken.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: RunFolder,
        progress: Progress,
        share_with: Sequence[Path] = (),
    ) -> None:
        self._experiment = experiment
        self._folder = folder
        self._progress = progress
        self._share_with = share_with
        self._methods = experiment.methods
        self._config = experiment.plan.training
        self._fingerprints = experiment.fingerprints()
        self._scoring = experiment.scoring_fingerprint()
        self._trackers: Trackers | None = None

    def __enter__(self) -> Self:
        """Look over what is on record; open the plan's trackers, in the process that writes.

        Raises:
            RunFailed: if a stage was trained on other data or another model than the files hold
                now; nothing was changed then.
        """
        self._refuse_other_data()
        self._set_back_damaged()
        if self._config.report_to and first():
            from forgetless.training.trackers import Trackers

            self._trackers = Trackers(
                self._config.report_to, self._folder.path, self._config, self._experiment.device
            )
        return self

    def __exit__(self, *exception: object) -> None:
        """Let trackers write what they hold, also if work failed."""
        if self._trackers is not None:
            self._trackers.close()

    @abstractmethod
    def train(self, stage: Stage, start: Stage) -> None:
        """Train the stage from where ``start`` ended; the untouched model is only looked at."""

    @abstractmethod
    def score(self, stage: Stage) -> None:
        """Score every task and ask the open questions."""

    def _refuse_other_data(self) -> None:
        """Compare every stage that was trained or begun with what would be trained now.

        Raises:
            RunFailed: for the first that differs.
        """
        names = (stage_name(0), *(stage.name for stage in self._experiment.stages))
        for name, fingerprint in zip(names, self._fingerprints, strict=True):
            entry = self._folder.entry(name)
            begun = stage_folder(self._folder.path, name) / "checkpoints" / BEGUN_WITH
            was = entry["fingerprint"] if entry else begun.read_text() if begun.is_file() else None
            if was not in (None, fingerprint):
                raise RunFailed(
                    f"{self._folder.path}: stage {name} was trained on other data or from "
                    "another model than the files hold now",
                    fix="put the old files back, or name another folder:  --set output=runs/other",
                )

    def _set_back_damaged(self) -> None:
        """Let stages whose scores are damaged count as trained only, also for who reads the run."""
        for entry in self._folder.manifest["stages"]:
            damaged: list[Path] = first_does(
                partial(list, self._folder.damaged(entry["name"], *ASKED))
            )
            if entry["state"] == "done" and damaged:
                self._progress.note(f"warning: {damaged[0]} is damaged; the stage is scored again")
                self._folder.record(entry | {"state": "trained"})

    def begin(self, stage: Stage) -> None:
        """Tell of the stage; give the methods back what they knew after it, if they go on from it.

        Raises:
            RunFolderError: if what they knew is damaged.
        """
        last = len(self._experiment.stages)
        self._progress.stage(self._folder.path.name, stage.name, stage.number, last)
        path = self._folder.stage_path(stage.name)
        if self._folder.entry(stage.name) is not None:
            following = [s.name for s in self._experiment.stages if s.number == stage.number + 1]
            if not any(map(self._folder.entry, following)):  # else it has their newer state
                self._folder.verify(stage.name, "methods")
                self._methods.restore(path / "methods")
            _drop_checkpoints(path)  # a kill may have left some

    def trained(self, stage: Stage) -> bool:
        """Whether the stage's weights are on disk."""
        return self._folder.entry(stage.name) is not None

    def scored(self, stage: Stage) -> bool:
        """Whether every task was scored after the stage, as it would be asked now."""
        entry = self._folder.entry(stage.name)
        return (
            entry is not None
            and entry["state"] == "done"
            and entry["scoring_fingerprint"] == self._scoring
        )

    def take_shared(self, stage: Stage) -> bool:
        """Take the stage from a run that has done the identical work; False if there is none."""
        if stage.number > 0 and self._methods.must_train:
            return False
        for giver, entry in self._givers(stage):
            path = self._folder.stage_path(stage.name)
            sound = giver.sound(stage.name, *ASKED)
            self._folder.describe_as(giver.manifest)
            first_does(partial(share_files, stage_folder(giver.path, stage.name), path, sound))
            self._record_trained(
                stage,
                entry["training"],
                shared_from=giver.path.name,
                hosted=entry.get("hosted"),
                scored_tasks=entry.get("scored_tasks"),
            )
            if sound == ASKED and entry["scoring_fingerprint"] == self._scoring:
                self._record_scored(stage, entry["scoring"])
            name = giver.path.name
            self._progress.note(f"{stage.name}: the same work as in {name}, taken from there")
            return True
        return False

    def _take_scores(self, stage: Stage) -> None:
        """Take what a run has asked whose stage, though trained here too, has the same weights."""
        ours = self._folder.entry(stage.name)
        assert ours is not None
        path = self._folder.stage_path(stage.name)
        for giver, theirs in self._givers(stage):
            if (
                _of_weights(theirs["files"]) != _of_weights(ours["files"])
                or giver.sound(stage.name, *ASKED) != ASKED
            ):
                continue
            first_does(partial(share_scores, stage_folder(giver.path, stage.name), path))
            files = first_does(partial(hash_files, path, *ASKED))
            scored = {"scored_tasks": theirs.get("scored_tasks", {})}
            self._folder.record(ours | scored | {"files": ours["files"] | files})
            if theirs["scoring_fingerprint"] == self._scoring:
                self._record_scored(stage, theirs["scoring"])
            return

    def _givers(self, stage: Stage) -> Iterator[tuple[RunFolder, dict[str, Any]]]:
        """Other runs that have trained the identical stage, and what they have on record of it."""
        for path in self._share_with:
            giver = trained_stage(path, stage.name, self._fingerprints[stage.number])
            if giver is not None:
                entry = giver.entry(stage.name)
                assert entry is not None
                yield giver, entry

    def describe(self, stage: Stage) -> None:
        """Write the model card of a trained stage, unless it is there."""
        card = self._card(stage)
        if stage.number == 0 or not card.parent.is_dir():
            return
        from forgetless.report.card import render_card
        from forgetless.result import RunResult

        def written() -> None:
            if not card.is_file():
                results, adapter = RunResult(self._folder.path).results, card.parent.name
                text = render_card(results, stage.number, adapter=adapter == "adapter")
                write_text(card, text)

        first_does(written)

    def _card(self, stage: Stage) -> Path:
        """Where the card of a stage stands, beside its weights."""
        folder = stage_folder(self._folder.path, stage.name)
        return folder / ("adapter" if (folder / "adapter").is_dir() else "model") / CARD

    def track(self, stage: Stage) -> None:
        """Tell the trackers what the stage came to, unless they know."""
        if self._trackers is None:
            return
        from forgetless.metrics.so_far import figures_after
        from forgetless.result import RunResult

        training = (self._folder.entry(stage.name) or {})["training"] or {}
        figures = figures_after(RunResult(self._folder.path).matrix, stage.number)
        if training.get("pull_norm") is not None:
            figures["pull_norm"] = training["pull_norm"]
        self._trackers.stage(self._steps_before(stage.number + 1), figures)

    def _steps_before(self, number: int) -> int:
        """Optimiser steps of all stages before one."""
        entries = self._folder.manifest["stages"]
        return sum(e["training"]["steps"] or 0 for e in entries if 0 < e["index"] < number)

    def _record_trained(
        self,
        stage: Stage,
        training: dict[str, Any] | None,
        bench: Workbench | None = None,
        shared_from: str | None = None,
        hosted: Mapping[str, Any] | None = None,
        scored_tasks: Mapping[str, str] | None = None,
    ) -> None:
        """Let the methods learn from the stage, save their state, then put it all on record.

        ``bench`` is the one that the stage was trained on, if it was trained here; ``hosted`` says
        what a provider made of it, ``scored_tasks`` how tasks were asked whose scores came with it.
        """
        path = self._folder.stage_path(stage.name)
        budget = self._experiment.budget
        if stage.number > 0:
            self._methods.keep_rows(stage)
            more = stage.number < self._experiment.stages[-1].number  # else nothing would use it
            if more and self._methods.learns_at_end:
                self._progress.working("learning what must be kept")
                self._methods.end_stage(bench or self._bench(stage))
        first_does(partial(self._methods.save, path / "methods"))
        self._folder.record(
            {
                "index": stage.number,
                "name": stage.name,
                "tasks": [task.name for task in stage.tasks],
                "state": "trained",
                "fingerprint": self._fingerprints[stage.number],
                "scoring_fingerprint": None,
                "scored_tasks": dict(scored_tasks or {}),
                "training": training,
                "shared_from": shared_from,
                "scoring": None,
                "budget": budget.record(stage) if budget else None,
                "files": first_does(partial(hash_files, path, *WEIGHTS, "methods", *ASKED)),
                **({"hosted": dict(hosted)} if hosted is not None else {}),
            }
        )
        _drop_checkpoints(path)

    def _record_scored(self, stage: Stage, scoring: dict[str, Any]) -> None:
        entry = self._folder.entry(stage.name)
        assert entry is not None
        # peft's own, another run's, or one of other scores
        first_does(partial(self._card(stage).unlink, missing_ok=True))
        path = self._folder.stage_path(stage.name)
        self._folder.record(
            entry
            | {
                "state": "done",
                "scoring_fingerprint": self._scoring,
                "scored_tasks": self._experiment.scoring_fingerprints(),
                "scoring": scoring,
                "files": entry["files"] | first_does(partial(hash_files, path, *ASKED)),
            }
        )
        if stage.number < self._experiment.stages[-1].number:  # the last one finishes the run
            # all intervals after every stage would cost more the more stages there are
            self._folder.write_matrix(intervals=False)

    def _note_begun(self, stage: Stage) -> Path:
        """Note what a stage is trained on, before anything else is in the folder of checkpoints."""
        checkpoints = self._folder.stage_path(stage.name) / "checkpoints"
        first_does(partial(_begin, checkpoints, self._fingerprints[stage.number]))
        return checkpoints

    def _bench(self, stage: Stage) -> Workbench:
        """The stage as it lies ready for methods that learn from the model at its end."""
        raise AssertionError("methods that need the weights are refused where there are none")

    def _warn(self, text: str) -> None:
        """Say something now and in the report, once."""
        if text not in self._folder.manifest["warnings"]:
            self._folder.manifest["warnings"].append(text)
            self._folder.save()
            self._progress.note(f"warning: {text}")


def _of_weights(files: Mapping[str, str]) -> dict[str, str]:
    """Of the hashes of a stage's files, those of its weights."""
    return {file: digest for file, digest in files.items() if Path(file).parts[0] in WEIGHTS}


def _drop_checkpoints(stage: Path) -> None:
    if first():
        shutil.rmtree(stage / "checkpoints", ignore_errors=True)


def _begin(checkpoints: Path, fingerprint: str) -> None:
    """Note what a stage is trained on, before its first checkpoint."""
    checkpoints.mkdir(exist_ok=True)
    write_text(checkpoints / BEGUN_WITH, fingerprint)

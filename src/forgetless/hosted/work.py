"""The stages of an experiment whose model a provider keeps: jobs train, an endpoint answers."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from forgetless.endpoints import EndpointConfig, EndpointSubject
from forgetless.errors import ModelError, RunFailed
from forgetless.evaluation.store import score_subject
from forgetless.evaluation.subject import Conditions
from forgetless.hosted.estimate import training_files
from forgetless.hosted.provider import Job, Loss, Provider
from forgetless.hosted.stage_job import StageJob
from forgetless.hosted.tokens import TokenCounter
from forgetless.hosted.training_file import TrainingFile, training_file
from forgetless.layout import stage_name
from forgetless.methods.stage import Stage
from forgetless.preparation import Experiment
from forgetless.progress import Progress
from forgetless.runfolder import RunFolder
from forgetless.stagework import StageWork
from forgetless.storage import write_lines
from forgetless.training.report import TrainingReport, final_loss

READY_TRIES = 30  # a model that was just trained may take minutes until it can be asked
LONGEST_SUFFIX = 18


class HostedWork(StageWork):
    """Trains stages as jobs and scores them through an endpoint.

    All training files are mixed and checked here already, before the first job.

    Raises:
        DataError: for a row or a file that the provider would not take.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: RunFolder,
        progress: Progress,
        share_with: Sequence[Path] = (),
    ) -> None:
        super().__init__(experiment, folder, progress, share_with)
        assert experiment.plan.hosted is not None
        self._hosted = experiment.plan.hosted
        self._untouched = EndpointConfig.named(experiment.plan.model.name, self._hosted.base_url)
        self._counter = TokenCounter.named(self._hosted.tokenizer)
        for _ in training_files(experiment, self._counter):
            pass

    def train(self, stage: Stage, start: Stage) -> None:
        """Train the stage as a job that starts from the model that ``start`` made."""
        if stage.number == 0:
            with closing(EndpointSubject(self._untouched)) as subject:
                self._conditions(subject)  # a task that cannot be asked is refused here
            self._record_trained(stage, None, hosted={"model": self._untouched.model})
            return
        checkpoints = self._note_begun(stage)
        path = self._folder.stage_path(stage.name)
        self._progress.working("mixing the training file")
        file = training_file(stage, self._methods, self._counter, self._hosted)
        data = path / "training_file.jsonl"
        write_lines(data, file.lines())
        write_lines(path / "train.jsonl", file.provenance())
        with Provider(self._untouched) as provider:
            work = StageJob(provider, self._untouched, checkpoints, stage.name)
            self._progress.working("sending the training file")
            job = work.start(data, self._settings(stage, self._model_after(start)))
            self._progress.note(f"{stage.name}: job {job}; it goes on if this process is stopped")
            done = work.settled(self._hosted.poll_every, self._progress)
            losses = provider.losses(job)
        self._progress.note(f"{stage.name}: the model is {done.model}")
        told = {
            "model": done.model,
            "job": done.id,
            "file": done.training_file,
            "base_url": self._untouched.base_url,
            "learning_rate_multiplier": done.learning_rate_multiplier,
        }
        took = self._took(file, done, losses)
        self._record_trained(stage, took.to_json(), hosted=told)

    def score(self, stage: Stage) -> None:
        """Ask the model that the stage made."""
        with closing(self._subject(stage)) as subject:
            conditions = self._conditions(subject)
            self._check_alike(stage, conditions)
            self._folder.describe_hosted(
                {name: asked.parts["mode"] for name, asked in conditions.items()}
            )
            scoring = score_subject(
                subject,
                self._experiment.tasks,
                self._experiment.plan.ask,
                self._folder.stage_path(stage.name),
                self._progress.scored,
            )
            for note in subject.notes():
                self._warn(f"{self._experiment.plan.model.name}: {note}")
        asked = {name: dict(parts.parts) for name, parts in conditions.items()}
        self._record_scored(stage, scoring | {"conditions": asked})

    def _model_after(self, stage: Stage) -> str:
        """The provider's name of the model that a stage made."""
        entry = self._folder.entry(stage.name)
        assert entry is not None
        return str(entry["hosted"]["model"])

    def _settings(self, stage: Stage, model: str) -> dict[str, Any]:
        """What the request for a stage's job holds beside the training file."""
        training = self._experiment.plan.training
        settings = {
            "n_epochs": int(training.epochs),
            "batch_size": self._hosted.batch_size,
            "learning_rate_multiplier": self._hosted.learning_rate_multiplier,
        }
        known = {name: value for name, value in settings.items() if value is not None}
        suffix = re.sub(r"[^a-z0-9-]+", "-", stage.name.lower())[:LONGEST_SUFFIX].strip("-")
        return {
            "model": model,
            "suffix": suffix,
            "seed": training.seed % 2**31,
            "method": {"type": "supervised", "supervised": {"hyperparameters": known}},
        }

    def _took(self, file: TrainingFile, job: Job, losses: Sequence[Loss]) -> TrainingReport:
        """What training took; tokens as the provider counts them, where it does."""
        epochs = int(self._experiment.plan.training.epochs)
        tokens = job.trained_tokens or file.tokens * epochs
        share = file.replayed_tokens / file.tokens
        return TrainingReport(
            steps=losses[-1].steps if losses else None,
            epochs=epochs,
            rows=len(file) * epochs,
            tokens=tokens,
            replayed_tokens=round(share * tokens),
            replay_share=share,
            batch_size=job.batch_size,
            first_loss=losses[0].loss if losses else None,
            final_loss=final_loss([told.loss for told in losses]),
            seconds=job.seconds,
        )

    def _subject(self, stage: Stage) -> EndpointSubject:
        """The model that a stage made, once it can be asked."""
        name, address = self._model_after(stage), self._untouched.base_url
        for _ in range(READY_TRIES if stage.number else 0):
            try:
                return EndpointSubject(EndpointConfig(name, address))
            except ModelError:
                self._progress.working("waiting until the model can be asked")
                time.sleep(self._hosted.poll_every)
        return EndpointSubject(EndpointConfig(name, address))

    def _conditions(self, subject: EndpointSubject) -> dict[str, Conditions]:
        return {task.name: subject.conditions(task) for task in self._experiment.tasks}

    def _check_alike(self, stage: Stage, conditions: Mapping[str, Conditions]) -> None:
        """Scores are compared, so every model must be asked like the untouched one.

        Raises:
            RunFailed: if this one is not.
        """
        entry = self._folder.entry(stage_name(0)) or {}
        before = (entry.get("scoring") or {}).get("conditions", {})
        for name, asked in conditions.items():
            parts = before.get(name)
            if parts and (differing := Conditions(parts).differences(asked)):
                part = differing[0]
                raise RunFailed(
                    f"{stage.name}: task {name!r} would be asked otherwise than of the untouched "
                    f"model: {part} is {asked.parts.get(part)!r} and was {parts.get(part)!r}",
                    fix="ask both alike: the server must offer the same for both models",
                )

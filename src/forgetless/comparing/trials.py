"""From trials to runs: names, plans, and which runs may take the first stage from which."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from forgetless.comparing.arms import LORA, SEQUENTIAL, Arm, Candidate
from forgetless.comparing.protocol import Trial
from forgetless.comparing.runs import Job, Measured, finished
from forgetless.comparing.settings import Setting
from forgetless.comparing.workers import Workers

# Runs whose first stage others may take, where it comes out the same.
DONORS: Mapping[str, Mapping[str, Any]] = {SEQUENTIAL: {}, LORA: {"lora": {}}}

LONGEST = 100
"""Signs of an arm's name in that of a folder, which no file system takes at any length."""


def job_name(trial: Trial) -> str:
    """A folder's name that tells all trials of a comparison apart.

    Its words leave signs and digits out, so a hash of what they stand for ends it.
    """
    arm, point, seed = trial.arm.name, trial.candidate, trial.seed
    words = f"{arm[:LONGEST]}/{point}/seed {seed}"
    exact = hashlib.sha256(f"{arm}/{point!r}/{seed}".encode()).hexdigest()
    return re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-") + f"-{exact[:8]}"


def plan_of(trial: Trial, setting: Setting, prepared: Mapping[str, Any]) -> dict[str, Any]:
    """All keys of a trial's plan but ``output``."""
    return {
        **prepared,
        "methods": trial.arm.plan(trial.candidate, setting.options),
        "training": {**prepared["training"], "learning_rate": trial.candidate.rate},
    }


class TrialRunner:
    """Carries trials out, those that others can take a stage from first.

    Args:
        setting: What they are made in.
        workers: Processes to use.
        root: Folder of all runs.
        told: Called with trial and outcome as each is finished, with how many are left, and with
            whether it had been carried out before.
        begun: Called with the number of trials before the first of them.
        prepared: The plan's settings by seed, where they are known without a worker.
    """

    def __init__(
        self,
        setting: Setting,
        workers: Workers,
        root: Path,
        told: Callable[[Trial, Measured, int, bool], None],
        prepared: Mapping[int, dict[str, Any]] | None = None,
        begun: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._setting = setting
        self._workers = workers
        self._root = root
        self._told = told
        self._begun = begun
        self._prepared = dict(prepared or {})

    def __call__(self, trials: Sequence[Trial]) -> dict[Trial, Measured]:
        """What each trial came to."""
        seeds = sorted({trial.seed for trial in trials} - self._prepared.keys())
        if seeds:
            self._prepared |= self._workers.call(self._setting.prepare, seeds)
        found: dict[Trial, Measured] = {}
        if trials:
            self._begun(len(trials))
        for wave in (
            [trial for trial in trials if trial.arm.name in DONORS],
            [trial for trial in trials if trial.arm.name not in DONORS],
        ):
            jobs = {self._job(trial): trial for trial in wave}

            def told(
                job: Job, measured: Measured, before: bool, jobs: dict[Job, Trial] = jobs
            ) -> None:
                found[jobs[job]] = measured
                self._told(jobs[job], measured, len(trials) - len(found), before)

            self._workers.run(list(jobs), told)
        return found

    def _job(self, trial: Trial) -> Job:
        donor = trial.arm.name in DONORS
        return Job(
            job_name(trial),
            plan_of(trial, self._setting, self._prepared[trial.seed]),
            () if donor else self._donors(trial),
            donor,
            self._setting.split_items,
            self._setting.withheld,
            self._setting.data,
        )

    def _donors(self, trial: Trial) -> tuple[str, ...]:
        """Sound runs at the same rate and seed, whose first stage may be the same."""
        plain = Candidate(trial.candidate.rate)
        donors = [
            self._job(Trial(Arm(name, methods), plain, trial.seed))
            for name, methods in DONORS.items()
        ]
        done = {job.name: finished(job, self._root) for job in donors}
        return tuple(name for name, run in done.items() if run is not None and run.failed is None)

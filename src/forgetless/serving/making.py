"""What a job is trained with beside its files; a model of other making is not gone on from.

A server may start again in its folder with another base model, other methods or other training.  An
adapter would then be put onto weights that it was not made for, and a job that continues a model
would train all of its chain anew, to another model than its own.
"""

from __future__ import annotations

from typing import Any

from forgetless.plan import TrainingConfig
from forgetless.plan.differences import differences
from forgetless.serving.config import ServerConfig
from forgetless.serving.faults import ApiError
from forgetless.serving.jobs import FineTuneJob


def training_of(job: FineTuneJob, config: ServerConfig) -> TrainingConfig:
    """How a job is trained: as the server does, but for what the job says itself."""
    wanted, usual = job.hyperparameters, config.training
    changes: dict[str, Any] = {
        "learning_rate": usual.learning_rate * wanted["learning_rate_multiplier"],
        "seed": job.seed,
    }
    if wanted["n_epochs"] != "auto":
        changes |= {"epochs": wanted["n_epochs"], "steps": None}
    if wanted["batch_size"] != usual.rows_per_step:
        changes |= {"batch_size": wanted["batch_size"], "accumulation": 1}
    settings = usual.model_dump() | changes
    if settings["steps"] is not None:  # epochs have no effect, so they must make no difference
        del settings["epochs"]
    return TrainingConfig.model_validate(settings)


def making(job: FineTuneJob, config: ServerConfig) -> dict[str, Any]:
    """What a server would train a job with, as :attr:`FineTuneJob.made_with` keeps it.

    Raises:
        ModelError: if the base model cannot be found or read.
    """
    return {
        "base": {"name": config.model, "sha256": config.weights},
        "methods": [spec.model_dump(mode="json") for spec in config.methods],
        "training": training_of(job, config).decisive(),
        "hold_out": config.hold_out,
    }


def check_base(made: FineTuneJob, config: ServerConfig) -> None:
    """Hold the base of a model against the server's.

    Raises:
        ApiError: if it is another one.
        ModelError: if the server's cannot be found or read.
    """
    if made.made_with is not None and made.made_with["base"]["sha256"] != config.weights:
        raise ApiError(
            400,
            f"{made.called} was trained from {made.made_with['base']['name']}, which is "
            f"not the base model of this server ({config.model}) or has changed since: start the "
            "server with the one it was trained from, or name another folder:  --folder served-2",
            param="model",
            code="other_base_model",
        )


def check_goes_on(made: FineTuneJob, config: ServerConfig) -> None:
    """Hold all that a model was made with against what the server would make it with now.

    ``made`` is the job that made it, or one that was begun: its run, other than a model, knows the
    base by its name as well.

    Raises:
        ApiError: naming what differs.
        ModelError: if the server's base model cannot be found or read.
    """
    check_base(made, config)
    if made.made_with is None:
        return
    found = [
        f"{key} was {there!r} and is {here!r}"
        for key, there, here in differences(made.made_with, making(made, config))
        if key != "base.name" or made.fine_tuned_model is None
    ]
    if found:
        raise ApiError(
            400,
            f"{made.called} was made by a server with other settings: "
            f"{'; '.join(found)}. Start the server as it was, or the job from {config.name}",
            param="model",
            code="other_settings",
        )

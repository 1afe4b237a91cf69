"""Train one stage: from a loaded model and a schedule to trained weights and what they cost."""

from __future__ import annotations

import math
import resource
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forgetless.launching import Sharding, by_engine
from forgetless.methods.compose import Compose
from forgetless.methods.stage import Workbench
from forgetless.models.padding import looks_past_padding
from forgetless.plan import TrainingConfig
from forgetless.processes import count, first_does
from forgetless.tasks.examples import Ints
from forgetless.training.checkpoints import Checkpoint, latest_complete
from forgetless.training.report import TrainingReport, final_loss
from forgetless.training.schedule import Schedule

if TYPE_CHECKING:
    from forgetless.training.trainer import OnStep


def resume_point(checkpoints: Path, methods: Compose) -> Checkpoint | None:
    """The newest sound checkpoint; the methods take back what they knew at it.

    Call it before they adapt the model and rehearse: what one of them wrote for the stage is in it.
    """
    resumed = first_does(partial(latest_complete, checkpoints))
    if resumed is not None:
        methods.restore(resumed.folder / "methods")
    return resumed


def train_stage(
    bench: Workbench,
    schedule: Schedule,
    methods: Compose,
    config: TrainingConfig,
    checkpoints: Path,
    on_step: OnStep,
    resumed: Checkpoint | None = None,
    *,
    sharding: Sharding | None = None,
) -> TrainingReport:
    """Train ``bench.model`` in place, from the start or from a checkpoint.

    Args:
        bench: The stage and its model, already adapted by the methods.
        schedule: Its rows, in order.
        methods: The methods of the plan.
        config: Training settings.
        checkpoints: Folder for checkpoints.
        on_step: Called after every optimiser step with step, steps and what the Trainer logs of it.
        resumed: What :func:`resume_point` gave; the stage goes on from there.
        sharding: What each of several processes is to hold a part of meanwhile.

    Raises:
        TrainingFailed: if loss or gradient stop being numbers.
    """
    from forgetless.training.phases import unprepare
    from forgetless.training.sharding import as_trained
    from forgetless.training.trainer import StageTrainer
    from forgetless.training.zero import engine_told_of

    steps = math.ceil(len(schedule) / config.rows_per_step)
    bench.steps = steps
    bench.drawn = np.unique(schedule.order)
    config = in_passes(bench.model, schedule.examples.lengths[bench.drawn], config)
    methods.start_stage(bench, schedule.examples)
    spent = (0.0, 0.0)
    if resumed is not None:  # once more: at the start methods put what they count back to 0
        methods.restore(resumed.folder / "methods")
        spent = (resumed.seconds, resumed.cpu_seconds)
    use_cache = getattr(bench.model.config, "use_cache", True)
    if count() == 1:
        sharding = None
    device = bench.device
    bfloat16 = config.in_bfloat16(device)
    noise = int(bench.stage.rng("training").integers(2**31))  # of dropout
    with (
        engine_told_of(sharding),
        as_trained(bench.model, methods, sharding, bfloat16=bfloat16) as model,
    ):
        trainer = StageTrainer(
            model,
            training_arguments(config, steps, checkpoints, device, noise, sharding),
            schedule,
            methods,
            on_step,
            spent,
        )
        trainer.train(resume_from_checkpoint=str(resumed.folder) if resumed else None)
        log = trainer.state.log_history
        seconds, cpu_seconds = trainer.spent()
        trainer.let_go()
    unprepare(bench.model)
    losses = [entry["loss"] for entry in log if "loss" in entry]
    pulls = [entry["pull_norm"] for entry in log if "pull_norm" in entry]
    report = TrainingReport(
        steps=steps,
        epochs=float((schedule.order < schedule.new).sum()) / schedule.new,
        rows=len(schedule),
        tokens=schedule.tokens,
        replayed_tokens=schedule.replayed_tokens,
        replay_share=schedule.replayed_tokens / schedule.tokens,
        learning_rate=config.learning_rate,
        batch_size=config.rows_per_step,
        first_loss=losses[0],
        final_loss=final_loss(losses),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        peak_memory_mb=peak_memory_mb(),
        trainable_parameters=sum(p.numel() for p in bench.model.parameters() if p.requires_grad),
        pull_norm=sum(pulls) / len(pulls) if pulls else None,
        found=bench.found,  # methods add to it when they settle
    )
    bench.model.config.use_cache = use_cache  # the Trainer turns it off, and it would be saved so
    bench.model.zero_grad(set_to_none=True)
    bench.model.eval()
    methods.settle(bench)
    return report


def in_passes(model: Any, lengths: Ints, config: TrainingConfig) -> TrainingConfig:
    """The settings, with one row in a pass where processes would pad rows and padding is read.

    They must make as many passes each, so rows of each length cannot have passes of their own.

    Args:
        model: Not yet prepared for training.
        lengths: Tokens of each row that is learned from.
        config: Training settings.
    """
    fit = looks_past_padding(model, int(lengths.max())) or lengths.min() == lengths.max()
    if fit or count() == 1:
        return config
    return config.model_copy(update={"batch_size": 1, "accumulation": config.rows_per_step})


def training_arguments(
    config: TrainingConfig,
    steps: int,
    folder: Path,
    device: str,
    seed: int,
    sharding: Sharding | None = None,
) -> Any:
    """What the settings of a stage are in the Trainer's words.

    A plan's batch is what an optimiser step learns from; processes share its rows.
    """
    from transformers import TrainingArguments

    engine = by_engine(sharding)
    batch_size, accumulation = config.batch_of(count())
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulation,
        learning_rate=config.learning_rate,
        # the Trainer's plain constant has no warm-up
        lr_scheduler_type=config.schedule.replace("constant", "constant_with_warmup"),
        warmup_steps=round(steps * config.warmup),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm or math.inf,
        # told of either, the Trainer would have the weights cast, or leave the engine out
        bf16=config.in_bfloat16(device) and not engine,
        use_cpu=device == "cpu" and not engine,
        ddp_backend="gloo" if engine and device == "cpu" else None,
        seed=seed,
        data_seed=seed,
        save_strategy="steps" if steps > config.checkpoint_every else "no",
        save_steps=config.checkpoint_every,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device == "cuda",
        label_names=["labels"],
        **recomputation(config.gradient_checkpointing),
    )
    # On several devices the Trainer would spread each batch, and hand the loss parts of it.
    _ = arguments.device  # counts the devices
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def recomputation(on: bool) -> dict[str, Any]:
    """The setting that trades time for memory, under the name that this transformers gives it."""
    from transformers import TrainingArguments

    new, old = "activation_checkpointing", "gradient_checkpointing"
    return {new if new in TrainingArguments.__dataclass_fields__ else old: on}


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, in megabytes of 10^6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6

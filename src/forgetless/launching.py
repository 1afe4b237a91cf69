"""What each of several processes is to hold only a part of: as the launcher says, or refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Literal

from forgetless.errors import PlanError, UsageError

# What accelerate launch tells the processes that it starts, and how it is asked to
FSDP, DEEPSPEED = "ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"
SETTING = "ACCELERATE_DEEPSPEED_"
FSDP2 = "accelerate launch --use_fsdp --fsdp_version 2"
ZERO = "accelerate launch --use_deepspeed --zero_stage 2"
WITHOUT_SHARDING = (
    "launch without FSDP, by torchrun or  accelerate launch --multi_gpu, or leave it out"
)
WITHOUT_DEEPSPEED = f"launch by  accelerate launch --multi_gpu  or  {FSDP2}, or leave it out"

# What each process holds only a part of: with FSDP2 weights, gradients and the optimiser's state,
# with DeepSpeed's ZeRO 1 the last of them, with its ZeRO 2 the last two
Sharding = Literal["FSDP2", "ZeRO 1", "ZeRO 2"]


def by_engine(sharding: Sharding | None) -> bool:
    """Whether it is DeepSpeed's engine that trains."""
    return sharding in ("ZeRO 1", "ZeRO 2")


def refused(what: str, sharding: Sharding, reason: str) -> PlanError:
    """The refusal of something that cannot work with it."""
    there = "DeepSpeed" if by_engine(sharding) else "sharded weights"
    return PlanError(
        f"{what} cannot work with {there}: {reason}",
        fix=WITHOUT_DEEPSPEED if by_engine(sharding) else WITHOUT_SHARDING,
    )


def sharding_wanted() -> Sharding | None:
    """How processes are to share what training takes, if the launcher says so.

    Raises:
        UsageError: for ways in which they cannot.
    """
    if _told(DEEPSPEED):
        return _zero_wanted()
    if not _told(FSDP):
        return None
    version = os.environ.get("FSDP_VERSION", "1")
    if version != "2":
        raise UsageError(
            f"launched with FSDP {version}, which flattens weights so that methods do not find "
            "theirs; a run shards weights with FSDP2",
            fix=FSDP2,
        )
    if _told("FSDP_OFFLOAD_PARAMS"):
        raise UsageError(
            "launched with FSDP that keeps weights in the CPU's memory, which a run does not",
            fix="--fsdp_offload_params false",
        )
    return "FSDP2"


def _zero_wanted() -> Sharding:
    """The stage of DeepSpeed's ZeRO that the launcher names.

    Raises:
        UsageError: for another than the first two, settings of its own, and without DeepSpeed.
    """
    stage = os.environ.get(f"{SETTING}ZERO_STAGE", "2")
    if os.environ.get(f"{SETTING}CONFIG_FILE", "none") != "none":
        raise UsageError(
            "launched with a configuration file of DeepSpeed, and a run makes it from its plan",
            fix=ZERO,
        )
    for what in ("OPTIMIZER", "PARAM"):
        if os.environ.get(f"{SETTING}OFFLOAD_{what}_DEVICE", "none") != "none":
            raise UsageError(
                "launched with DeepSpeed that keeps what it shards outside of the GPU, which a run "
                "does not",
                fix=f"--offload_{what.lower()}_device none",
            )
    if stage == "3":
        raise UsageError(
            "launched with DeepSpeed's ZeRO 3, which leaves no process weights that methods could "
            "look at; a run shards weights with FSDP2",
            fix=FSDP2,
        )
    if stage not in ("1", "2"):
        raise UsageError(f"launched with DeepSpeed's ZeRO {stage}, needed 1 or 2", fix=ZERO)
    if find_spec("deepspeed") is None:
        raise UsageError("DeepSpeed is not installed", fix="pip install 'forgetless[deepspeed]'")
    return "ZeRO 1" if stage == "1" else "ZeRO 2"


@contextmanager
def sharding_left_to_us() -> Iterator[None]:
    """Transformers and accelerate see no launcher that wants anything sharded.

    They would load the model in one process alone, and shard it on GPUs only, for the whole run.
    """
    told = {name: os.environ.pop(name) for name in (FSDP, DEEPSPEED) if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(told)


def _told(name: str) -> bool:
    """Whether the launcher set a variable that says yes or no to yes."""
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "y", "on")

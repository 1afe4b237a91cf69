"""One piece of work in several processes, as ``torchrun`` or ``accelerate launch`` start them.

Every process goes through the same program.  What takes long is shared out (:func:`mine`) and put
together again (:func:`gathered`), so that all know the same afterwards; files are written by the
first process alone (:func:`first_does`), which all must be able to read.  In one process all of
this does nothing.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count as number_from
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from forgetless.errors import FailedElsewhere, PlanError, UsageError

if TYPE_CHECKING:
    import torch

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

P = TypeVar("P")
T = TypeVar("T")


def launched() -> int:
    """Number of processes that the launcher started; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def count() -> int:
    """Number of processes that work together now."""
    group = _group()
    return 1 if group is None else int(group.get_world_size())


def rank() -> int:
    """Number of this process, from 0."""
    group = _group()
    if group is not None:
        return int(group.get_rank())
    return int(os.environ.get("RANK", "0")) if launched() > 1 else 0


def first() -> bool:
    """Whether this is the process that writes and speaks."""
    return rank() == 0


def join(device: str) -> None:
    """Work together with the processes that were launched with this one, from now on.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``; with several GPUs each process takes its own.
    """
    if launched() == 1 or _group() is not None:
        return
    from accelerate import PartialState
    from torch import distributed

    PartialState(cpu=device == "cpu")
    atexit.register(distributed.destroy_process_group)  # a group cannot be left and made again


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


def mine(parts: Iterable[T]) -> Iterator[T]:
    """Of parts that all processes have in the same order, those that are this one's."""
    return islice(iter(parts), rank() if count() > 1 else 0, None, count())


def turns() -> Iterator[bool]:
    """Of one piece of work after another, without end: whether it is this process's."""
    return (
        (number % count() == rank() for number in number_from(0)) if count() > 1 else repeat(True)
    )


def shared_out(parts: Sequence[P], work: Callable[[P], T]) -> Iterator[T]:
    """Work on every part, each in one of the processes.

    Args:
        parts: The same in all processes.
        work: Its results travel between processes, so that tensors in them are on the CPU.

    Yields:
        The result of every part, in their order, in all processes.
    """
    if count() == 1:
        yield from map(work, parts)
        return
    found = gathered([work(part) for part in mine(parts)])
    for number in range(len(parts)):
        yield found[number % count()][number // count()]


def sums_over(
    parts: Sequence[P], work: Callable[[Sequence[P]], dict[str, torch.Tensor]]
) -> dict[str, torch.Tensor]:
    """Sums over parts, to which each process adds its own.

    Args:
        parts: The same in all processes.
        work: Sums over some parts, at least one; under the same names whichever they are.
    """
    if len(parts) < count():  # one of them would have none
        return work(parts)
    found = work(list(mine(parts)))
    add_up(found.values())
    return found


def gathered(value: T) -> list[T]:
    """The value of every process, in the order of their numbers."""
    group = _group()
    if group is None or count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    group.all_gather_object(values, value)
    return values


def add_up(tensors: Iterable[torch.Tensor]) -> None:
    """Replace each tensor by its sum over all processes, in place."""
    group = _group()
    if group is None or count() == 1:
        return
    for tensor in tensors:
        group.all_reduce(tensor)


def first_does(work: Callable[[], T]) -> T:
    """Do something in the first process alone, such as writing a file, while the others wait.

    Returns:
        What came of it, in all of them.

    Raises:
        FailedElsewhere: in the others, if it failed.
    """
    if count() == 1:
        return work()
    told: list[Any] = [None, None]
    if first():
        try:
            told[0] = work()
        except BaseException as error:
            told[1] = f"{type(error).__name__}: {error}"
            _tell(told)
            raise
    _tell(told)
    if told[1] is not None:
        raise FailedElsewhere(f"the first process failed: {told[1]}")
    result: T = told[0]
    return result


def _told(name: str) -> bool:
    """Whether the launcher set a variable that says yes or no to yes."""
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "y", "on")


def _tell(values: list[Any]) -> None:
    from torch import distributed

    distributed.broadcast_object_list(values, src=0)


def _group() -> Any:
    """torch.distributed, if processes work together; torch is not imported for it."""
    torch = sys.modules.get("torch.distributed")
    return torch if torch is not None and torch.is_available() and torch.is_initialized() else None

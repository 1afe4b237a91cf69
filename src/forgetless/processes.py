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
from itertools import count as number_from
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, TypeVar

from forgetless.errors import FailedElsewhere, UsageError

if TYPE_CHECKING:
    import torch

TOLD = ("WORLD_SIZE", "RANK", "LOCAL_RANK")  # what a launcher puts into the environment

P = TypeVar("P")
T = TypeVar("T")


def launched() -> int:
    """Number of processes that the launcher started; 1 without one.

    Raises:
        UsageError: if the environment gives no such number.
    """
    return _told("WORLD_SIZE", least=1)


def count() -> int:
    """Number of processes that work together now."""
    group = _group()
    return 1 if group is None else int(group.get_world_size())


def rank() -> int:
    """Number of this process, from 0.

    Raises:
        UsageError: if the environment gives no such number.
    """
    group = _group()
    if group is not None:
        return int(group.get_rank())
    return _told("RANK", least=0, most=launched() - 1) if launched() > 1 else 0


def first() -> bool:
    """Whether this is the process that writes and speaks."""
    return rank() == 0


def join(device: str) -> None:
    """Work together with the processes that were launched with this one, from now on.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``; with several GPUs each process takes its own.

    Raises:
        UsageError: if the environment gives something else than numbers.
    """
    for name in TOLD:
        if os.environ.get(name) == "":  # accelerate would read a number from it
            del os.environ[name]
    if os.environ.get("LOCAL_RANK") != "-1":  # which means none to it
        _told("LOCAL_RANK", least=0)
    if launched() == 1 or _group() is not None:
        return
    rank()  # which accelerate would wait for, and not find
    from accelerate import PartialState
    from torch import distributed

    PartialState(cpu=device == "cpu")
    atexit.register(distributed.destroy_process_group)  # a group cannot be left and made again


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


def _told(name: str, least: int, most: int | None = None) -> int:
    """A number that the launcher put into the environment; the least one if it is not there."""
    found = os.environ.get(name) or str(least)
    if not found.isdecimal() or int(found) < least or (most is not None and int(found) > most):
        needed = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise UsageError(
            f"the environment variable {name} is {found!r}, needed a whole number {needed}",
            fix=f"unset {' '.join(TOLD)}",  # those left would tell of other processes
        )
    return int(found)


def _tell(values: list[Any]) -> None:
    from torch import distributed

    distributed.broadcast_object_list(values, src=0)


def _group() -> Any:
    """torch.distributed, if processes work together; torch is not imported for it."""
    torch = sys.modules.get("torch.distributed")
    return torch if torch is not None and torch.is_available() and torch.is_initialized() else None

"""Weights in parts: each process holds some rows of every weight, as torch's ``fully_shard`` does.

Such a weight is a ``DTensor``.  What is worked out entry by entry needs the own part alone
(:func:`local`); :func:`whole` puts all parts together, for which every process must call it.
Each function gives back what it was given where weights are whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from forgetless.processes import first

if TYPE_CHECKING:
    import torch


def is_part(tensor: torch.Tensor) -> bool:
    """Whether each process holds a part of a tensor."""
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def in_parts(model: Any) -> bool:
    """Whether each process holds a part of the model's weights."""
    return any(is_part(parameter) for parameter in model.parameters())


def trains_in_parts(trainer: Any, model: Any) -> bool:
    """Whether someone's Trainer gives each process a part of the weights, now or once it trains."""
    if trainer.is_deepspeed_enabled:
        return bool(trainer.accelerator.state.deepspeed_plugin.zero_stage == 3)
    return bool(trainer.is_fsdp_enabled or in_parts(model))


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The part that this process holds, in the same memory."""
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All parts together, detached, in every process."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor().detach() if isinstance(tensor, DTensor) else tensor


def wholes(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors to be written to a file, for which every process must ask.

    Returns:
        Those in parts are put together one after another, in the CPU's memory of the first process
        alone; all others as they are.
    """
    found = {}
    for name, tensor in tensors.items():
        together = whole(tensor)
        if together is tensor:
            found[name] = tensor
        elif first():
            found[name] = together.cpu()
    return found


def laid_out_like(weight: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """A whole tensor in the parts that a weight is in; each process keeps its own, in new memory.

    Args:
        weight: A weight, in parts or whole.
        tensor: The same in all processes, of the weight's shape.
    """
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(weight, DTensor):
        return tensor
    place = weight.device_mesh, weight.placements
    parts: torch.Tensor = distribute_tensor(tensor.to(weight.device), *place, src_data_rank=None)
    return parts.clone()  # a view would keep the whole tensor

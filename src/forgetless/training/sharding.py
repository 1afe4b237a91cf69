"""A stage trained on weights in parts (FSDP2, torch's ``fully_shard``).

Each process holds some rows of each weight, of its gradient, of the optimiser's state and of what
methods keep beside it.  Before a stage, and at its end, every process has the whole model: methods
look at it, it is scored and saved, as without.  For the training itself a twin of it is put in
parts, block by block, and its weights come back afterwards.  So the whole model, with what methods
keep, must fit into each process, but not its gradient and its optimiser.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from forgetless.errors import ModelError
from forgetless.launching import Sharding, by_engine
from forgetless.methods.compose import Compose
from forgetless.models.forward import innermost
from forgetless.models.sharded import laid_out_like, whole, wholes
from forgetless.processes import count
from forgetless.training.zero import for_the_engine


@contextmanager
def as_trained(
    model: Any, methods: Compose, sharding: Sharding | None, *, bfloat16: bool = False
) -> Iterator[Any]:
    """The model in the form in which it is trained.

    Meanwhile a model of which a twin is trained has no weights; they come back at the end.
    After an exception they do not: other processes may have stopped.

    Args:
        model: Whole, in every process.
        methods: What they keep beside weights is put in parts as well.
        sharding: What each process is to hold a part of.
        bfloat16: Whether a model that DeepSpeed trains is to compute so; accelerate sees to others.

    Yields:
        The model itself, or its twin.

    Raises:
        ModelError: if its weights cannot be trained so.
    """
    if sharding is None:
        yield model
        return
    engine = by_engine(sharding)
    twin = for_the_engine(model, bfloat16=bfloat16) if engine else _in_parts(model)
    parts = dict(twin.named_parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.data = parameter.data.new_empty(0)
        for kept in methods.beside_weights():
            kept.update({n: laid_out_like(parts[n], t) for n, t in kept.items() if n in parts})
    yield twin
    parts = dict(twin.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            trained = whole(parts[name])
            # the engine's are views of its own memory
            parameter.data = trained.clone() if trained is parts[name] else trained
        for kept in methods.beside_weights():
            kept.update({name: whole(tensor) for name, tensor in kept.items()})


def whole_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What ``state_dict()`` gives, as if the weights were whole, to be written.

    All processes must ask for it; the first has it then.
    """
    state = optimizer.state_dict()
    return state | {"state": {number: wholes(each) for number, each in state["state"].items()}}


def restore_in_parts(optimizer: torch.optim.Optimizer) -> None:
    """Let an optimiser of weights in parts load a state of whole ones."""
    optimizer.register_load_state_dict_pre_hook(_laid_out)


def _laid_out(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return state | {
        "state": {
            number: {
                name: laid_out_like(parameters[number], value)
                if value.shape == parameters[number].shape  # and not the count of steps
                else value
                for name, value in of_one.items()
            }
            for number, of_one in state["state"].items()
        }
    }


def _in_parts(model: Any) -> Any:
    """A twin of a model, in parts; the model's own parameters stay as they are.

    Raises:
        ModelError: if its gradients would be of different types, which are not put in parts.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    parameters = list(model.parameters())
    trained = {str(p.dtype).removeprefix("torch.") for p in parameters if p.requires_grad}
    if len(trained) > 1:
        raise ModelError(
            f"{type(model).__name__}: trains weights of {' and '.join(sorted(trained))}, and "
            "sharded weights must be of one type",
            fix="model: {name: ..., dtype: float32}",
        )
    twin = copy.deepcopy(model, {id(parameter): parameter for parameter in parameters})
    mesh = init_device_mesh(parameters[0].device.type, (count(),))
    blocks = set(getattr(innermost(model), "_no_split_modules", None) or ())
    for module in twin.modules():
        if type(module).__name__ in blocks:  # gathered and let go one after another
            fully_shard(module, mesh=mesh)
    return fully_shard(twin, mesh=mesh)

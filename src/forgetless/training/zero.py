"""A stage trained by DeepSpeed's engine, with ZeRO 1 or 2.

Each process holds a part of the optimiser's state, with ZeRO 2 of the gradient as well, and all
weights.  The engine, which transformers and accelerate drive, goes from the backward pass through
the step by itself.  What is written is as if the optimiser were whole, so that a run goes on with
or without DeepSpeed.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from forgetless.errors import ModelError
from forgetless.launching import DEEPSPEED, SETTING, Sharding, by_engine
from forgetless.processes import first


@contextmanager
def engine_told_of(sharding: Sharding | None) -> Iterator[None]:
    """Transformers and accelerate see a launcher that wants DeepSpeed, if it is wanted.

    They make its configuration, from the Trainer's settings and not from the launcher's.
    """
    if sharding is None or not by_engine(sharding):
        yield
        return
    told = {
        DEEPSPEED: "true",
        f"{SETTING}ZERO_STAGE": sharding[-1],
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "auto",
        "ACCELERATE_GRADIENT_CLIPPING": "auto",
        "ACCELERATE_MIXED_PRECISION": "no",
    }
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def for_the_engine(model: Any, *, bfloat16: bool) -> Any:
    """A twin of a model with the same weights in memory, on which the engine may leave its marks.

    Args:
        model: The model.
        bfloat16: Whether it is to compute in bfloat16, its weights staying as they are.

    Raises:
        ModelError: if what is trained is not float32, of which the engine would make it a copy.
    """
    from accelerate.utils import convert_outputs_to_fp32

    parameters = list(model.parameters())
    types = {p.dtype for p in parameters if p.requires_grad} - {torch.float32}
    if types:
        raise ModelError(
            f"{type(model).__name__}: trains weights of {str(types.pop()).removeprefix('torch.')}, "
            "and a run with DeepSpeed trains float32 alone",
            fix="model: {name: ..., dtype: float32}",
        )
    own = {id(p): torch.nn.Parameter(p.data, requires_grad=p.requires_grad) for p in parameters}
    twin = copy.deepcopy(model, own)
    if bfloat16:
        autocast = torch.autocast(parameters[0].device.type, torch.bfloat16)
        twin.forward = convert_outputs_to_fp32(autocast(twin.forward))
    return twin


def whole_state(optimizer: Any) -> dict[str, Any]:
    """What ``state_dict()`` of the torch optimiser inside would give without DeepSpeed.

    Args:
        optimizer: As accelerate wraps DeepSpeed's, after at least one step.

    All processes must ask for it; the first has it then, in the CPU's memory.
    """
    from deepspeed.utils import safe_get_full_optimizer_state

    zero = optimizer.optimizer
    _link_state(zero)
    state: dict[int, dict[str, torch.Tensor]] = {}
    groups = []
    for group, flat, parameters in _groups(zero):
        numbers = range(len(state), len(state) + len(parameters))
        groups.append({**group, "params": [*numbers]})
        for number, parameter in zip(numbers, parameters, strict=True):
            state[number] = {}
            for name, value in zero.optimizer.state[flat].items():
                if value.shape == flat.shape:  # and not the count of steps
                    value = safe_get_full_optimizer_state(parameter, name)
                if first():
                    # of its own: the count of steps is one tensor for all, and stays it in a file
                    state[number][name] = value.cpu().clone()
    return {"state": state, "param_groups": groups}


def restore_whole_state(optimizer: Any, saved: dict[str, Any]) -> None:
    """Load a whole state, of which each process keeps its part.

    Args:
        optimizer: As accelerate wraps DeepSpeed's, before its first step.
        saved: From :func:`whole_state`, or of a torch optimiser without DeepSpeed.
    """
    from deepspeed.utils import safe_set_full_optimizer_state

    zero = optimizer.optimizer
    moments = []
    for (group, flat, parameters), before in zip(_groups(zero), saved["param_groups"], strict=True):
        group |= {name: value for name, value in before.items() if name != "params"}
        whole = [saved["state"][number] for number in before["params"]]
        zero.optimizer.state[flat] = {
            name: value.clone() if value.shape != parameters[0].shape else torch.zeros_like(flat)
            for name, value in whole[0].items()
        }
        moments += [
            (parameter, name, value)
            for parameter, of_one in zip(parameters, whole, strict=True)
            for name, value in of_one.items()
            if value.shape == parameter.shape
        ]
    _link_state(zero)
    for parameter, name, value in moments:
        safe_set_full_optimizer_state(parameter, value.to(parameter.device), name)


def _groups(zero: Any) -> list[tuple[dict[str, Any], torch.Tensor, list[Any]]]:
    """Each group of the optimiser inside, this process's part of its weights, its parameters."""
    groups, flats = zero.optimizer.param_groups, zero.single_partition_of_fp32_groups
    return [*zip(groups, flats, zero.bit16_groups, strict=True)]


def _link_state(zero: Any) -> None:
    """Let DeepSpeed find each parameter's state; it looks after the first group's step alone."""
    zero._hp_optimizer_states_linked = False
    zero._lazy_init_hp_params_optimizer_state()

"""The model as it was, without a second one: earlier values in place of what is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from forgetless.models.forward import evaluation_mode

if TYPE_CHECKING:
    import torch


def trained_values(model: Any, device: str | None = None) -> dict[str, torch.Tensor]:
    """A copy of every parameter that is trained, by name: with an adapter, of the adapter alone.

    Args:
        model: Any model.
        device: Where the copies are kept; by default where each parameter is.
    """
    return {
        name: parameter.detach().to(device or parameter.device, copy=True)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


@contextmanager
def with_values(model: Any, values: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """The model with other values for some parameters: no gradients, evaluation mode.

    The parameters are set aside as objects and put back whatever happens.  Nothing is written to
    them, so a graph that was built with them stays valid, and autocast, which remembers a
    parameter's lower-precision copy by the object, cannot take one for the other.

    Args:
        model: Any model.
        values: Parameter name to the value it has meanwhile; one of tied weights stands for all.
    """
    import torch

    parameters = dict(model.named_parameters())
    meanwhile = {id(parameters[name]): value for name, value in values.items()}
    aside = [
        (module._parameters, name, parameter)
        for module in model.modules()
        for name, parameter in module._parameters.items()
        if id(parameter) in meanwhile
    ]
    try:
        for holder, name, parameter in aside:
            holder[name] = meanwhile[id(parameter)].to(parameter.device, non_blocking=True)
        with evaluation_mode(model), torch.no_grad():
            yield
    finally:
        for holder, name, parameter in aside:
            holder[name] = parameter

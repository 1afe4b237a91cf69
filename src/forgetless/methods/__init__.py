"""Ways of not forgetting, one file each; ``METHODS`` is the list."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from forgetless.errors import PlanError
from forgetless.methods.agem import AGEM
from forgetless.methods.base import Method
from forgetless.methods.der import DER
from forgetless.methods.ema import EMA
from forgetless.methods.ewc import EWC
from forgetless.methods.freeze import Freeze
from forgetless.methods.joint import Joint
from forgetless.methods.kl import KL
from forgetless.methods.l2sp import L2SP
from forgetless.methods.lora import LoRA
from forgetless.methods.merge import Merge
from forgetless.methods.ogd import OGD
from forgetless.methods.olora import OLoRA
from forgetless.methods.on_policy_replay import OnPolicyReplay
from forgetless.methods.osf import OSF
from forgetless.methods.replay import Replay
from forgetless.methods.self_replay import SelfReplay
from forgetless.methods.sequential import Sequential
from forgetless.methods.sfa import SFA
from forgetless.methods.si import SI
from forgetless.methods.token_weights import TokenWeights

__all__ = [
    "AGEM",
    "DER",
    "EMA",
    "EWC",
    "KL",
    "L2SP",
    "METHODS",
    "OGD",
    "OSF",
    "SFA",
    "SI",
    "Freeze",
    "Joint",
    "LoRA",
    "Merge",
    "OLoRA",
    "OnPolicyReplay",
    "Replay",
    "SelfReplay",
    "Sequential",
    "TokenWeights",
    "find_method",
]

METHODS: Mapping[str, type[Method[Any]]] = {
    method.name: method
    for method in (
        *(Sequential, Joint),
        *(Replay, SelfReplay, OnPolicyReplay),
        *(KL, DER, TokenWeights),
        *(EWC, L2SP, SI, AGEM, OGD),
        *(EMA, SFA),
        *(Freeze, LoRA, OLoRA, OSF),
        Merge,
    )
}


def find_method(name: str) -> type[Method[Any]]:
    """The method of a name.

    Raises:
        PlanError: if there is none, with the nearest valid name.
    """
    if name in METHODS:
        return METHODS[name]
    near = difflib.get_close_matches(name, METHODS, n=1)
    raise PlanError(
        f"methods: there is no method {name!r}",
        fix=f"did you mean {near[0]!r}?" if near else f"there are {', '.join(METHODS)}",
    )

"""Ways of not forgetting, one file each; ``METHODS`` is the list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forgetless.methods.agem import Agem
from forgetless.methods.base import Method
from forgetless.methods.der import Der
from forgetless.methods.ema import Ema
from forgetless.methods.ewc import Ewc
from forgetless.methods.freeze import Freeze
from forgetless.methods.joint import Joint
from forgetless.methods.kl import Kl
from forgetless.methods.l2sp import L2sp
from forgetless.methods.lora import Lora
from forgetless.methods.merge import Merge
from forgetless.methods.ogd import Ogd
from forgetless.methods.olora import Olora
from forgetless.methods.on_policy_replay import OnPolicyReplay
from forgetless.methods.osf import Osf
from forgetless.methods.replay import Replay
from forgetless.methods.self_replay import SelfReplay
from forgetless.methods.sequential import Sequential
from forgetless.methods.sfa import Sfa
from forgetless.methods.si import Si
from forgetless.methods.token_weights import TokenWeights

__all__ = [
    "METHODS",
    "Agem",
    "Der",
    "Ema",
    "Ewc",
    "Freeze",
    "Joint",
    "Kl",
    "L2sp",
    "Lora",
    "Merge",
    "Ogd",
    "Olora",
    "OnPolicyReplay",
    "Osf",
    "Replay",
    "SelfReplay",
    "Sequential",
    "Sfa",
    "Si",
    "TokenWeights",
]

METHODS: Mapping[str, type[Method[Any]]] = {
    method.name: method
    for method in (
        *(Sequential, Joint),
        *(Replay, SelfReplay, OnPolicyReplay),
        *(Kl, Der, TokenWeights),
        *(Ewc, L2sp, Si, Agem, Ogd),
        *(Ema, Sfa),
        *(Freeze, Lora, Olora, Osf),
        Merge,
    )
}

"""Ways of not forgetting, one file each; ``METHODS`` is the list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forgetless.methods.agem import Agem
from forgetless.methods.base import Method
from forgetless.methods.ewc import Ewc
from forgetless.methods.joint import Joint
from forgetless.methods.l2sp import L2sp
from forgetless.methods.lora import Lora
from forgetless.methods.ogd import Ogd
from forgetless.methods.replay import Replay
from forgetless.methods.sequential import Sequential
from forgetless.methods.si import Si

METHODS: Mapping[str, type[Method[Any]]] = {
    method.name: method for method in (Sequential, Joint, Replay, Ewc, L2sp, Si, Agem, Ogd, Lora)
}

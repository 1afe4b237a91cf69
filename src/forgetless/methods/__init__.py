"""Ways of not forgetting, one file each; ``METHODS`` is the list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forgetless.methods.base import Method
from forgetless.methods.freeze import Freeze
from forgetless.methods.joint import Joint
from forgetless.methods.lora import Lora
from forgetless.methods.olora import Olora
from forgetless.methods.osf import Osf
from forgetless.methods.replay import Replay
from forgetless.methods.sequential import Sequential

METHODS: Mapping[str, type[Method[Any]]] = {
    method.name: method for method in (Sequential, Joint, Replay, Freeze, Lora, Olora, Osf)
}

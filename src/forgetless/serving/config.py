"""What a server serves, and where it keeps files, jobs and models."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from forgetless.errors import UsageError
from forgetless.methods.base import PlansStages
from forgetless.methods.compose import Compose
from forgetless.models.source import find_model, weights_hash
from forgetless.plan import AUTO, BUNDLED, MethodSpec, ModelConfig, TrainingConfig

TOKEN_VARIABLE = "FORGETLESS_SERVE_TOKEN"  # noqa: S105 - the name of the variable


@dataclass(frozen=True)
class ServerConfig:
    """Settings of a server.

    Attributes:
        model: The model that jobs may start from, as in a plan.
        folder: Where everything is kept.
        name: What the model is called in the API; from ``model`` if empty.
        methods: What protects the files of a chain of jobs from one another.
        training: How a job is trained; a job may set epochs, which replace steps, batch size, rate
            and seed.
        hold_out: Share of a file's rows that are held out to measure what was kept, where a job has
            no validation file.
        max_tokens: Most tokens that are written for a request; one that asks for more is refused.
        host: Where to listen.
        port: Where to listen; 0: any that is free.
        token: What every request must bring; empty: none is needed.
    """

    model: str
    folder: Path
    name: str = ""
    methods: tuple[MethodSpec, ...] = (MethodSpec(name="replay"),)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    hold_out: float = 0.1
    max_tokens: int = 4096
    host: str = "127.0.0.1"
    port: int = 8000
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        name = self.name or self.model.removeprefix(BUNDLED).rstrip("/").split("/")[-1]
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "folder", self.folder.resolve())
        if ":" in name:
            raise UsageError(f"the name {name!r} holds a colon", fix="--name NAME")
        if not 0 < self.hold_out < 1:
            raise UsageError(f"hold_out is {self.hold_out:g}, needed a share between 0 and 1")
        if self.training.steps is None and self.training.epochs % 1:
            raise UsageError(
                f"training.epochs is {self.training.epochs:g}, but the n_epochs of a job are whole",
                fix="--set epochs=1  or  --set steps=100",
            )
        self._check_methods()
        if not self.token and not is_loopback(self.host):
            raise UsageError(
                f"{self.host} can be reached from other machines, and nothing would keep them out",
                fix=f"export {TOKEN_VARIABLE}=...  or listen on 127.0.0.1",
            )

    @cached_property
    def weights(self) -> str:
        """Hash of the model's weights, as they were when it was first asked for.

        Raises:
            ModelError: if they cannot be found or read.
        """
        return weights_hash(find_model(ModelConfig(name=self.model)))

    def _check_methods(self) -> None:
        if any(spec.name == AUTO for spec in self.methods):
            raise UsageError(
                "methods: auto depends on how many tasks there are, and a chain of jobs grows",
                fix="--methods replay",
            )
        for method in Compose.from_plan(self.methods).methods:
            if isinstance(method, PlansStages):
                raise UsageError(
                    f"methods: {method.name} changes what is trained when, and a job is one file",
                    fix="--methods replay",
                )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""Fine-tune a language model on one task after another without losing what it knew, and prove it.

>>> import forgetless
>>> result = forgetless.run(                                    # doctest: +SKIP
...     model="my-model",
...     sequence=["medical.jsonl", "legal.jsonl"],
...     methods=[{"replay": {"ratio": 0.1}}],
... )
>>> result.forgetting                                           # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from forgetless.errors import ForgetlessError

if TYPE_CHECKING:
    from forgetless.auditing.audit import audit
    from forgetless.auditing.result import Audit
    from forgetless.guard import RetentionGuard
    from forgetless.plan import Plan, load_plan
    from forgetless.progress import Progress
    from forgetless.result import RunResult
    from forgetless.sequence import run
    from forgetless.training.protect import protect
    from forgetless.training.protection import Protection

    __version__: str

__all__ = [
    "Audit",
    "ForgetlessError",
    "Plan",
    "Progress",
    "Protection",
    "RetentionGuard",
    "RunResult",
    "__version__",
    "audit",
    "load_plan",
    "protect",
    "run",
]

_HOMES = {
    "Audit": "forgetless.auditing.result",
    "audit": "forgetless.auditing.audit",
    "RetentionGuard": "forgetless.guard",
    "Plan": "forgetless.plan",
    "load_plan": "forgetless.plan",
    "Progress": "forgetless.progress",
    "RunResult": "forgetless.result",
    "run": "forgetless.sequence",
    "Protection": "forgetless.training.protection",
    "protect": "forgetless.training.protect",
}


def __getattr__(name: str) -> Any:
    """Import the public names when first used, so that ``import forgetless`` costs nothing."""
    if name == "__version__":
        from importlib.metadata import version

        return version("forgetless")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'forgetless' has no attribute {name!r}")

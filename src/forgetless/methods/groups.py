"""The methods by what they do: one picture of the table in the docs and on the terminal."""

from __future__ import annotations

from collections.abc import Mapping

GROUPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "bounds": (
        "plain training, and training on everything at once",
        ("sequential", "joint"),
    ),
    "rehearsal": (
        "learn some of the old again beside the new",
        ("replay", "self_replay", "on_policy_replay"),
    ),
    "distillation": (
        "predict as the model did before the stage",
        ("kl", "der"),
    ),
    "loss shape": (
        "learn less of what is far from what the model knows",
        ("token_weights",),
    ),
    "regularisation": (
        "pull weights back, those that matter most the strongest",
        ("ewc", "l2sp", "si"),
    ),
    "gradient": (
        "step only where older tasks are not hurt",
        ("agem", "ogd"),
    ),
    "averaging": (
        "stay between the weights before and after",
        ("ema", "sfa", "merge"),
    ),
    "parameter-efficient": (
        "change few weights, or only some directions",
        ("freeze", "lora", "olora", "osf"),
    ),
}
"""Group to what its methods have in common, and their names."""


def group_of_method(name: str) -> str:
    """The group that a method stands in.

    Example:
        >>> group_of_method("ewc")
        'regularisation'
    """
    return next(group for group, (_, members) in GROUPS.items() if name in members)

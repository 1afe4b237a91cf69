"""The arms of the benchmark: which methods, with which options, tuned over which values.

Methods are named as in a plan.  An arm whose methods this version does not have is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from forgetless.comparing.arms import JOINT, LORA, SEQUENTIAL, Arm
from forgetless.methods.groups import group_of_method

COMBINATIONS = "combinations"

# Methods that cannot do without rows of earlier tasks.
NEED_OLD_ROWS = frozenset({"joint", "replay", "on_policy_replay", "agem"})


def group_of(arm: Arm) -> str:
    """Where an arm stands in the table."""
    if len(arm.methods) > 1 and set(arm.methods) != {"replay", "der"}:
        return COMBINATIONS
    name = list(arm.methods or [SEQUENTIAL])[-1]
    return group_of_method(name)


def needs_old_rows(arm: Arm) -> bool:
    """Whether rows of earlier tasks must be at hand."""
    return not NEED_OLD_ROWS.isdisjoint(arm.methods)


def at_the_middle(arm: Arm) -> Arm:
    """The same arm with nothing to search: each option in the middle of its grid."""
    return replace(arm, searched={key: (v[len(v) // 2],) for key, v in arm.searched.items()})


def available(arms: Sequence[Arm], methods: Sequence[str]) -> list[Arm]:
    """The arms that this version can run."""
    return [arm for arm in arms if set(arm.methods) <= set(methods)]


KL = {"kl.strength": (0.25, 1.0, 4.0)}
EWC = {"ewc.strength": (0.1, 1.0, 10.0)}
MERGE = {"merge.alpha": (0.4, 0.6, 0.8)}
EIGHT = {"ratio": 0.08}

ARMS = (
    Arm(SEQUENTIAL, {}),
    Arm("sequential untuned", {}, tuned=False),
    Arm(JOINT, {"joint": {}}),
    Arm("replay 8%", {"replay": EIGHT}),
    Arm("replay 20%", {"replay": {"ratio": 0.2}}),
    Arm("self_replay 20%", {"self_replay": {"ratio": 0.2}}),
    Arm("on_policy_replay 8%", {"on_policy_replay": EIGHT}),
    Arm("kl", {"kl": {}}, KL),
    Arm("der on replay 8%", {"replay": EIGHT, "der": {}}, {"der.alpha": (0.1, 0.5, 2.5)}),
    Arm("token_weights stm", {"token_weights": {"kind": "stm"}}),
    Arm("token_weights dft", {"token_weights": {"kind": "dft"}}),
    Arm("token_weights flow", {"token_weights": {"kind": "flow"}}),
    Arm("ewc", {"ewc": {}}, EWC),
    Arm("l2sp", {"l2sp": {}}, {"l2sp.strength": (0.001, 0.01, 0.1)}),
    Arm("si", {"si": {}}, {"si.strength": (0.1, 1.0, 10.0)}),
    Arm("agem", {"agem": {}}, {"agem.rows": (4, 16)}),
    Arm("ogd", {"ogd": {}}, {"ogd.energy": (0.8, 0.95, 0.99)}),
    Arm("ema", {"ema": {}}, {"ema.decay": (0.9, 0.99)}),
    Arm("sfa", {"sfa": {}}, {"sfa.weight": (0.25, 0.5, 0.75)}),
    Arm("merge", {"merge": {}}, MERGE),
    Arm("merge ties", {"merge": {"how": "ties"}}, MERGE),
    Arm("freeze first half", {"freeze": {"first": 0.5}}),
    Arm("freeze half by lot", {"freeze": {"share": 0.5}}),
    Arm("lora", {"lora": {}}),
    Arm("olora", {"olora": {}}, {"olora.strength": (0.1, 0.5, 2.5)}),
    Arm("osf", {"osf": {}}, {"osf.share": (0.25, 0.5, 0.75)}),
    Arm("replay 8% + kl", {"replay": EIGHT, "kl": {}}, KL),
    Arm(
        "replay 8% + kl on old rows",
        {"replay": EIGHT, "kl": {"rows": "replayed"}},
        KL,
    ),
    Arm("replay 8% + merge", {"replay": EIGHT, "merge": {}}, MERGE),
    Arm("replay 8% + ewc", {"replay": EIGHT, "ewc": {}}, EWC),
    Arm("replay 8% + ema", {"replay": EIGHT, "ema": {}}, {"ema.decay": (0.9, 0.99)}),
    Arm("lora + replay 8%", {"replay": EIGHT, "lora": {}}),
    Arm("lora + replay 8% + kl", {"replay": EIGHT, "kl": {}, "lora": {}}, KL),
    Arm("lora + kl", {"kl": {}, "lora": {}}, KL),
    Arm("ewc + merge", {"ewc": {}, "merge": {}}, EWC | MERGE),
    Arm("ogd + ewc", {"ogd": {}, "ewc": {}}, {"ogd.energy": (0.95, 0.99)} | EWC),
    Arm("self_replay 20% + ewc", {"self_replay": {"ratio": 0.2}, "ewc": {}}, EWC),
    Arm(
        "self_replay 20% + ogd",
        {"self_replay": {"ratio": 0.2}, "ogd": {}},
        {"ogd.energy": (0.8, 0.95, 0.99)},
    ),
    Arm("self_replay 20% + kl", {"self_replay": {"ratio": 0.2}, "kl": {}}, KL),
    Arm("self_replay 20% + merge", {"self_replay": {"ratio": 0.2}, "merge": {}}, MERGE),
)

TEN = {"ratio": 0.1}

# What the overheads are measured of: every method as it comes, and what it is measured against.
OVERHEADS = (
    Arm(SEQUENTIAL, {}),
    Arm(LORA, {"lora": {}}),
    Arm("replay 10%", {"replay": TEN}),
    Arm("self_replay 10%", {"self_replay": TEN}),
    Arm("on_policy_replay 10%", {"on_policy_replay": TEN}),
    Arm("kl", {"kl": {}}),
    Arm("der on replay 10%", {"replay": TEN, "der": {}}),
    Arm("token_weights stm", {"token_weights": {"kind": "stm"}}),
    Arm("token_weights flow", {"token_weights": {"kind": "flow"}}),
    Arm("ewc", {"ewc": {}}),
    Arm("l2sp", {"l2sp": {}}),
    Arm("si", {"si": {}}),
    Arm("agem", {"agem": {}}),
    Arm("ogd", {"ogd": {}}),
    Arm("ema", {"ema": {}}),
    Arm("sfa", {"sfa": {}}),
    Arm("merge", {"merge": {}}),
    Arm("freeze first half", {"freeze": {"first": 0.5}}),
    Arm("olora", {"olora": {}}),
    Arm("osf", {"osf": {}}),
    Arm("lora + kl", {"kl": {}, "lora": {}}),
)

# The most that is wanted of them: time, and memory where it was said.
WANTED: Mapping[str, tuple[float, float | None]] = {
    "replay 10%": (1.12, None),
    "ewc": (1.08, None),
    "l2sp": (1.05, None),
    "agem": (1.6, None),
    "lora + kl": (1.35, 1.1),
}


def peer(arm: Arm) -> str | None:
    """What an arm's overhead is measured against; None for plain training itself."""
    if arm.name == SEQUENTIAL:
        return None
    return LORA if "lora" in arm.methods and arm.name != LORA else SEQUENTIAL

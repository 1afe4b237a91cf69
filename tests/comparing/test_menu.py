"""Arms are read from a command line as they are meant, or refused with what to type."""

from __future__ import annotations

import pytest

from forgetless.comparing.menu import STRENGTHS, arm_of_plan, arms_named
from forgetless.errors import UsageError
from forgetless.methods import METHODS
from forgetless.plan import MethodSpec


def test_arms_stand_between_commas_and_methods_between_plus_signs() -> None:
    first, second = arms_named("replay(ratio=0.05, general_ratio=0.1), lora+ewc")
    assert first.name == "replay(ratio=0.05, general_ratio=0.1)"
    assert first.methods == {"replay": {"ratio": 0.05, "general_ratio": 0.1}}
    assert (second.name, set(second.methods)) == ("lora + ewc", {"lora", "ewc"})


def test_a_strength_is_tuned_unless_it_is_given() -> None:
    free, given = arms_named("ewc, ewc(strength=3)")
    assert free.searched == {"ewc.strength": (0.1, 1.0, 10.0)}
    assert given.searched == {}


def test_with_rates_alone_a_strength_is_the_middle_one() -> None:
    (arm,) = arms_named("ewc", rates_alone=True)
    assert arm.searched == {"ewc.strength": (1.0,)}


def test_the_bounds_need_not_be_named() -> None:
    assert [arm.name for arm in arms_named("sequential, joint, ewc")] == ["ewc"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "--methods names none"),
        ("ewc, ewc", "ewc is named twice"),
        ("replay(ratio=0.1), replay(ratio= .1)", r"replay\(ratio=0.1\) is named twice"),
        ("ewc+replay, replay+ewc", r"ewc \+ replay is named twice, also as replay \+ ewc"),
        ("ewc+kl, kl+ewc", r"ewc \+ kl is named twice"),
        ("replay, replay(ratio=0.1)", r"replay is named twice, also as replay\(ratio=0.1\)"),
        ("ewc+ewc", "names ewc twice"),
        ("ewk", "there is no method 'ewk'"),
        ("ewc(strenth=1)", "strenth"),
        ("ewc(1)", "cannot read the options"),
        ("e w c", "cannot read 'e w c'"),
        ("joint+replay", "cannot be combined"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        arms_named(text)


@pytest.mark.parametrize("name", STRENGTHS)
def test_every_value_that_is_tried_is_valid_and_strengths_rise(name: str) -> None:
    option, values = STRENGTHS[name]
    for value in values:
        METHODS[name](**{option: value})
    assert sorted(values) == list(values)


def test_the_methods_of_a_plan_are_an_arm_as_they_are() -> None:
    arm = arm_of_plan([MethodSpec(name="ewc", options={"strength": 2.0})])
    assert arm is not None
    assert (arm.name, arm.methods, arm.searched) == ("plan: ewc", {"ewc": {"strength": 2.0}}, {})
    assert arm_of_plan([]) is None

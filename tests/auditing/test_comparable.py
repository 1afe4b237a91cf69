"""Comparable or refused."""

from __future__ import annotations

import pytest

from forgetless.auditing.comparable import check_comparable
from forgetless.errors import UsageError
from forgetless.evaluation.subject import Conditions

SAME = {"items": "1", "prompts": "1", "tokens": "1", "chat template": "1", "tokenizer": "1"}
NAMES = ("old", "new")


def conditions(**changes: str) -> dict[str, Conditions]:
    named = {key.replace("_", " "): value for key, value in changes.items()}
    return {"law": Conditions(SAME | named)}


def test_what_was_asked_alike_is_compared() -> None:
    assert check_comparable(conditions(), conditions(), NAMES) == []


def test_the_difference_and_its_cause_are_named() -> None:
    with pytest.raises(UsageError) as refused:
        check_comparable(conditions(), conditions(prompts="2", chat_template="2"), NAMES)
    assert refused.value.message == (
        "task 'law': old and new would not be asked the same: prompts differ "
        "(another chat template)"
    )
    assert refused.value.fix is not None
    assert "--render-with before" in refused.value.fix


def test_a_model_and_an_endpoint_are_not_told_to_share_a_template_that_one_lacks() -> None:
    endpoint = {"law": Conditions({"items": "1", "prompts": "2", "mode": "chat"})}
    with pytest.raises(UsageError, match="prompts, tokens, mode differ") as refused:
        check_comparable(conditions(), endpoint, NAMES)
    assert refused.value.fix == "ask both as local models, or both through endpoints of one kind"


@pytest.mark.parametrize("part", ["items", "prompts", "tokens"])
def test_each_part_of_a_request_is_decisive(part: str) -> None:
    with pytest.raises(UsageError, match=f"{part} differ"):
        check_comparable(conditions(), conditions(**{part: "2"}), NAMES)


def test_another_tokenizer_with_the_same_tokens_is_only_told() -> None:
    (note,) = check_comparable(conditions(), conditions(tokenizer="2"), NAMES)
    assert note.startswith("the tokenizer of new is another one than that of old")


def test_a_task_that_one_of_them_was_not_asked_is_refused() -> None:
    with pytest.raises(UsageError, match="'law' was put to old, but not to new"):
        check_comparable(conditions(), {}, NAMES)

"""Comparable or refused: two models are compared only where both were asked alike."""

from __future__ import annotations

from collections.abc import Mapping

from forgetless.errors import UsageError
from forgetless.evaluation.subject import Conditions

# These explain why prompts differ; where nothing that was asked differs they are harmless.
_CAUSES = ("chat template", "tokenizer")
# The first that applies; of the ways of asking, only endpoints have a mode.
_FIXES = {
    "items": "use the same test items for both",
    "mode": "ask both as local models, or both through endpoints of one kind",
    "generation": "ask both alike:  --render-with before",
    "prompts": "ask both alike:  --render-with before  (or after)",
    "tokens": "ask both alike:  --render-with before  (or after)",
}


def check_comparable(
    before: Mapping[str, Conditions], after: Mapping[str, Conditions], names: tuple[str, str]
) -> list[str]:
    """Refuse two models that are not asked the same.

    Args:
        before: By task, how it is put to the model before.
        after: The same for the model after.
        names: Of the two models.

    Returns:
        Differences without effect that the user should know of: a template or tokenizer that is
        another one, though every request of this audit comes out the same.

    Raises:
        UsageError: naming the task and what differs.
    """
    harmless: dict[str, None] = {}
    for task, conditions in before.items():
        if task not in after:
            raise UsageError(f"task {task!r} was put to {names[0]}, but not to {names[1]}")
        different = conditions.differences(after[task])
        decisive = [part for part in different if part not in _CAUSES]
        causes = [part for part in different if part in _CAUSES]
        if decisive:
            because = f" (another {' and '.join(causes)})" if causes else ""
            raise UsageError(
                f"task {task!r}: {names[0]} and {names[1]} would not be asked the same: "
                f"{', '.join(decisive)} differ{because}",
                fix=next((fix for part, fix in _FIXES.items() if part in decisive), None),
            )
        harmless.update(dict.fromkeys(causes))
    return [
        f"the {part} of {names[1]} is another one than that of {names[0]}; every request of this "
        "audit comes out the same with both"
        for part in harmless
    ]

"""A dry run prices the dearest way in which a server may turn out to be asked."""

from __future__ import annotations

from contextlib import closing

import pytest

from forgetless.hosted.estimate import _count
from forgetless.hosted.tokens import TokenCounter
from tests.endpoints.build import answers, open_endpoint
from tests.endpoints.faults import serving
from tests.endpoints.scripted import Scripted
from tests.training.build import exchange, make_task


@pytest.mark.parametrize(("words", "choices"), [(200, 10), (0, 2)])
def test_plain_choices_cost_at_most_what_is_priced_whether_echoed_or_asked_by_letter(
    words: int, choices: int
) -> None:
    """An echo asks the whole prompt anew for each choice; for few choices letters are dearer."""
    names = tuple(f"colour {number}" for number in range(choices))
    rows = [exchange(n, "word " * words + f"{n}?", names[1], choices=names) for n in range(3)]
    task = make_task("choices", (), rows, score="multiple_choice", render="plain")
    counter = TokenCounter()
    priced = _count(task, counter)
    unsure = Scripted(completions=False, first={"Hm": -0.1}, say=lambda _: "Hm, who knows.")
    for server_made, mode in ((Scripted(), "echo"), (unsure, "letters")):
        with serving(server_made) as server, closing(open_endpoint(server.url)) as subject:
            assert subject.conditions(task).parts["mode"].startswith(mode)
            before = len(server.seen)
            assert not any(result.error for result in answers(subject, task).values())
        sent = [body for _, body in server.seen[before:]]
        asked = [body.get("messages") or [{"content": body["prompt"]}] for body in sent]
        limits = [body.get("max_tokens") or body["max_completion_tokens"] for body in sent]
        assert sum(map(counter.count, asked)) <= priced.input_tokens
        assert sum(limits) <= priced.output_tokens

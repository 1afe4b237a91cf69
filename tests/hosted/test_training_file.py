"""Training files: the chat format's rules, tokens, and rehearsal among the new rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forgetless.errors import DataError
from forgetless.hosted.chat_format import check_line, messages_of
from forgetless.hosted.tokens import TokenCounter
from forgetless.hosted.training_file import TrainingFile, training_file
from forgetless.methods.compose import Compose
from forgetless.methods.replay import Replay
from forgetless.methods.stage import Stage
from forgetless.plan import HostedConfig
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task, exchange_hash
from tests.tiny import build_tokenizer
from tests.training.build import exchange, make_task

GOOD = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
COUNTER = TokenCounter()


def rows(name: str, count: int) -> list[Row]:
    return [exchange(f"{name}{n}", f"{name} question {n}?", f"answer {n}") for n in range(count)]


def two_stages(ratio: float, held_back: frozenset[bytes] = frozenset()) -> TrainingFile:
    old, new = make_task("old", rows("old", 40)), make_task("new", rows("new", 60))
    methods = Compose([Replay(ratio=ratio)])
    methods.keep_rows(Stage(1, "1-old", (old,)))
    stage = Stage(2, "2-new", (new,), earlier=(old,), held_back=held_back, seed=1)
    return training_file(stage, methods, COUNTER, HostedConfig())


def origins(file: TrainingFile) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.provenance()]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("{", "not valid JSON"),
        ([], "needed an object with a list of messages"),
        ({"messages": GOOD, "tools": []}, "'tools' beside the messages"),
        ({"messages": []}, "there are no messages"),
        ({"messages": GOOD[:1]}, "the last message is the user's, needed the assistant's"),
        ({"messages": GOOD[1:]}, "there is no message of a user"),
        ({"messages": [{"role": "tool", "content": "x"}, *GOOD]}, "message 1 has the role 'tool'"),
        (
            {"messages": [GOOD[0], {"role": "assistant", "content": " "}]},
            "message 2 has no content",
        ),
        ({"messages": [GOOD[0], {**GOOD[1], "tool_calls": []}]}, "message 2 has 'tool_calls'"),
        ({"messages": [*GOOD, {**GOOD[1], "weight": 0}]}, "message 3 has a weight"),
        ({"messages": ["x"]}, "message 1 is no object"),
    ],
)
def test_a_line_that_breaks_a_rule_is_refused_with_the_message_at_fault(
    wrong: Any, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        check_line(wrong if isinstance(wrong, str) else json.dumps(wrong))
    assert caught.value.message.startswith(message)


def test_a_line_that_keeps_the_rules_is_read() -> None:
    weighed = [GOOD[0], {**GOOD[1], "weight": 1, "name": "x"}]
    assert check_line(json.dumps({"messages": weighed})) == GOOD


def test_choices_are_learned_as_they_are_asked_by_letter() -> None:
    row = exchange("q", "Which?", "blue", choices=("red", "blue"))
    task = make_task("t", (row,), (row,), score="multiple_choice", system="Be brief.")
    system, user, assistant = messages_of(task, row)
    assert system == {"role": "system", "content": "Be brief."}
    assert user["content"] == "Which?\n\nA. red\nB. blue\n\nAnswer with the letter only."
    assert assistant["content"] == "B"


@pytest.mark.parametrize(
    ("row", "settings", "message"),
    [
        (Row("t", (), "a text"), {"score": "nll"}, "row 't' of task 'x' is plain text"),
        (exchange("t", "a?", "b"), {"render": "plain"}, "is to be rendered as plain text"),
        (exchange("t", "a?", " "), {}, "row 't' of task 'x': message 2 has no content"),
    ],
)
def test_a_row_that_cannot_be_said_in_chat_is_refused(
    row: Row, settings: dict[str, Any], message: str
) -> None:
    task = make_task("x", (row,), (exchange("i", "a?", "b"),), **settings)
    with pytest.raises(DataError, match=message):
        messages_of(task, row)


def test_tokens_are_counted_by_a_tokenizer_as_it_renders_them() -> None:
    counter = TokenCounter(build_tokenizer())
    # a byte is a token; <|user|> a <|end|> newline, <|assistant|> b <|end|> newline
    assert counter.count(GOOD) == 8
    assert TokenCounter(build_tokenizer(chat=False)).count(GOOD) == 2 + 2 * 4


def test_the_tokenizer_that_is_named_counts_and_without_a_name_none_does(tiny_model: Path) -> None:
    counter = TokenCounter.named(str(tiny_model))
    assert (counter.exact, counter.count(GOOD)) == (True, 8)
    assert not TokenCounter.named(None).exact


def test_without_a_tokenizer_four_bytes_are_a_token() -> None:
    assert TokenCounter().count([{"role": "user", "content": "ä" * 4 + "b"}]) == 4 + 3


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5])
def test_old_rows_make_up_their_share_of_the_tokens(ratio: float) -> None:
    file = two_stages(ratio)
    assert file.replayed_tokens / file.tokens == pytest.approx(ratio, abs=10 / file.tokens)
    told = origins(file)
    assert sorted(o["row"] for o in told if not o["replayed"]) == sorted(
        row.id for row in rows("new", 60)
    )
    assert {o["task"] for o in told if o["replayed"]} == {"old"}
    assert sum(o["tokens"] for o in told) == file.tokens


def test_lines_are_the_rows_that_provenance_names_and_size_is_theirs() -> None:
    file = two_stages(0.3)
    lines = list(file.lines())
    for line, told in zip(lines, origins(file), strict=True):
        question = json.loads(line)["messages"][0]["content"]
        assert question == f"{told['task']} question {told['row'].removeprefix(told['task'])}?"
    assert sum(len(line.encode()) for line in lines) == file.size
    assert lines == list(two_stages(0.3).lines())


def test_test_items_are_never_rehearsed() -> None:
    tested = rows("old", 40)[:30]
    file = two_stages(0.5, frozenset(map(exchange_hash, tested)))
    names = {o["row"] for o in origins(file) if o["replayed"]}
    assert names == {row.id for row in rows("old", 40)[30:]}


def first_stage(task: Task, **limits: Any) -> TrainingFile:
    stage = Stage(1, "1-x", (task,))
    return training_file(stage, Compose([]), COUNTER, HostedConfig(**limits))


@pytest.mark.parametrize(
    ("count", "limits", "message"),
    [
        (9, {}, "would have 9 rows, a provider takes no fewer than 10"),
        (20, {"max_file_mb": 0.001}, "would have 0.0 MB, more than hosted.max_file_mb = 0.001"),
        (20, {"max_length": 12}, "row 'x0' of task 'x' has about 14 tokens, more than hosted"),
    ],
)
def test_a_file_beyond_the_provider_s_limits_is_refused(
    count: int, limits: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        first_stage(make_task("x", rows("x", count)), **limits)
    assert len(first_stage(make_task("x", rows("x", 10)))) == 10

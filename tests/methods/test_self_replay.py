from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forgetless.errors import ModelError
from forgetless.methods.base import State
from forgetless.methods.compose import Compose
from forgetless.methods.parts.drafts import ChatForm
from forgetless.methods.self_replay import ROUNDS, SelfReplay
from forgetless.methods.stage import Stage, Workbench
from forgetless.tasks.examples import Examples
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task, exchange_hash
from forgetless.training.schedule import build_schedule
from tests.methods.scripted import Says, words
from tests.tiny import build_tokenizer
from tests.training.build import (
    Weights,
    colour_task,
    differing,
    exchange,
    fresh,
    make_task,
    one_stage_a_task,
    settings,
    train,
    weights,
    workbench,
)

END, USER, ASSISTANT, SYSTEM = 256, 258, 259, 260
HEAD = [USER]
BETWEEN = [END, build_tokenizer()("\n")["input_ids"][0], ASSISTANT]


def stages(*names: str, **kwargs: Any) -> list[Stage]:
    return one_stage_a_task([colour_task(name, n) for n, name in enumerate(names)], **kwargs)


def written(method: SelfReplay, bench: Workbench) -> Examples:
    (rows,) = method.rehearsal(bench)
    assert isinstance(rows.rows, Examples)
    return rows.rows


def all_of(examples: Examples) -> list[tuple[list[int], list[bool]]]:
    encoded = [examples[index] for index in range(len(examples))]
    return [(example.ids, example.learned) for example in encoded]


@pytest.fixture
def bench(tiny_model: Path) -> Workbench:
    return workbench(fresh(tiny_model), stages("a")[0])


class Unreadable(Sequence[Row]):
    """Old rows that are gone."""

    def __len__(self) -> int:
        raise AssertionError("old rows were looked at")

    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("old rows were looked at")

    def __iter__(self) -> Any:
        raise AssertionError("old rows were looked at")


def test_old_rows_are_never_looked_at(tiny_model: Path, tmp_path: Path) -> None:
    old, new = colour_task("old", 0), colour_task("new", 1)
    _, stage = one_stage_a_task([old, new])
    gone = Task(old.config, Unreadable(), Unreadable())
    stage = replace(stage, earlier=(gone,))
    methods = Compose([SelfReplay(ratio=0.3, rows=6, max_new_tokens=12)])
    assert methods.acting_in(stage)
    methods.methods[0].identity(stage)
    trained = train(fresh(tiny_model), stage, settings(), tmp_path, methods)
    assert trained.report.replayed_tokens > 0
    methods.keep_rows(stage)
    methods.end_stage(workbench(fresh(tiny_model), stage))
    methods.save(tmp_path / "state")
    origins = {json.loads(line)["task"] for line in trained.schedule.lines()}
    assert origins == {"new", "self_replay"}


@pytest.mark.parametrize("ratio", [0.05, 0.2, 0.6])
@pytest.mark.parametrize("start", ["chat", "bos", "both"])
def test_share_of_tokens_is_what_was_asked_to_within_a_point(
    ratio: float, start: str, tiny_model: Path
) -> None:
    stage = one_stage_a_task([colour_task("a", count=150)])[0]
    config = settings(steps=None, epochs=2)
    bench = workbench(fresh(tiny_model), stage, config)
    # of a model that knows nothing one chat in 30 comes to the end of the question
    method = SelfReplay(ratio=ratio, rows=60, start=start, max_new_tokens=16)
    schedule = build_schedule(bench, Compose([method]), config)
    assert schedule.replayed_tokens / schedule.tokens == pytest.approx(ratio, abs=0.01)
    lengths = {
        len(schedule.examples[index]) for index in range(schedule.new, len(schedule.examples))
    }
    assert len(lengths) > 1 or start == "bos"


def test_new_rows_keep_the_order_they_have_without_it(tiny_model: Path) -> None:
    config = settings(steps=None, epochs=2)
    found = []
    for methods in (Compose(), Compose([SelfReplay(ratio=0.3, rows=9, max_new_tokens=9)])):
        bench = workbench(fresh(tiny_model), stages("a")[0], config)
        schedule = build_schedule(bench, methods, config)
        found.append([index for index in schedule.order.tolist() if index < schedule.new])
    assert found[0] == found[1]


def test_chat_is_the_header_the_model_s_question_the_template_s_turn_and_its_answer(
    bench: Workbench, says: Says
) -> None:
    question, answer = words("What is it?"), words("A cat.")

    def script(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        if list(prompts[0]) == HEAD:
            return [[*question, END] for _ in prompts]
        return [[*answer, END] for _ in prompts]

    calls = says(script)
    method = SelfReplay(start="chat", rows=1, max_new_tokens=50, temperature=0.9)
    ((ids, learned),) = all_of(written(method, bench))
    assert ids == [*HEAD, *question, *BETWEEN, *answer, END]
    text = "<|user|>What is it?<|end|>\n<|assistant|>A cat.<|end|>"
    assert bench.tokenizer.decode(ids) == text
    assert ids == bench.tokenizer(text)["input_ids"]
    assert learned == [False] * (len(ids) - len(answer) - 1) + [True] * (len(answer) + 1)
    first, second = calls
    assert second["prompts"] == [[*HEAD, *question, *BETWEEN]]
    assert [call["longest"] for call in calls] == [50, 50]
    assert [call["temperature"] for call in calls] == [0.9, 0.9]
    special = {END, USER, ASSISTANT, SYSTEM, 257}
    assert first["stops"] == second["stops"] == special  # no turn begins in the midst of another


def test_all_that_the_model_wrote_is_learned_if_asked(bench: Workbench, says: Says) -> None:
    question, answer = words("What is it?"), words("A cat.")
    says(lambda prompts: [[*(question if p == HEAD else answer), END] for p in prompts])
    ((ids, learned),) = all_of(written(SelfReplay(start="chat", rows=1, learn="all"), bench))
    given = [token for token, own in zip(ids, learned, strict=True) if not own]
    assert given == [USER, BETWEEN[1], ASSISTANT]
    assert len(learned) == len(ids)
    assert learned[1 : len(question) + 2] == [True] * (len(question) + 1)


def test_free_text_begins_at_the_token_that_ends_texts_where_none_begins_them(
    bench: Workbench, says: Says
) -> None:
    text = words("once upon a time")
    calls = says(lambda prompts: [[*text, END] for _ in prompts])
    ((ids, learned),) = all_of(written(SelfReplay(start="bos", rows=1), bench))
    assert ids == [END, *text, END]
    assert learned == [False] + [True] * (len(text) + 1)
    assert calls[0]["prompts"] == [[END]]
    assert calls[0]["stops"] == {END}


def test_free_text_begins_at_the_token_that_begins_texts_where_there_is_one(
    bench: Workbench, says: Says
) -> None:
    bench.tokenizer = build_tokenizer()
    bench.tokenizer.add_special_tokens({"bos_token": "<|system|>"})
    text = words("once upon a time")
    calls = says(lambda prompts: [text for _ in prompts])
    ((ids, learned),) = all_of(written(SelfReplay(start="bos", rows=1), bench))
    assert ids == [SYSTEM, *text]  # and one that came to no end stays a beginning
    assert learned == [False] + [True] * len(text)
    assert calls[0]["stops"] == {SYSTEM, END}


def test_half_of_the_rows_are_chats_where_there_is_a_template(bench: Workbench, says: Says) -> None:
    counter = iter(range(1000))

    def script(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        return [[*np.random.default_rng(next(counter)).integers(200, size=9), END] for _ in prompts]

    says(script)
    kinds = [origin.row.split("-")[0] for origin in written(SelfReplay(rows=7), bench).origins]
    assert kinds == ["chat"] * 4 + ["bos"] * 3
    bench.tokenizer = build_tokenizer(chat=False)
    bench.stage = replace(bench.stage, number=2)
    kinds = [origin.row.split("-")[0] for origin in written(SelfReplay(rows=7), bench).origins]
    assert kinds == ["bos"] * 7


def test_question_without_an_end_is_left_out_and_answer_without_one_is_not(
    bench: Workbench, says: Says
) -> None:
    broken = {
        "without an end": words("Why is"),
        "ended by another turn's token": [*words("Why not"), SYSTEM],
    }
    answers = {
        "ended": [*words("the first answer"), END],
        "without an end": words("some other long"),
        "a turn in the midst": [*words("third, unlike them"), USER],
        "empty": [END],
    }
    questions = [words(f"{n}{n}{n} question {n}?") for n in range(4)]
    first = [*broken.values(), *([*question, END] for question in questions)]

    def script(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        if list(prompts[0]) != HEAD:
            return [answers[key] for key in list(answers)[: len(prompts)]]
        return first if len(prompts) == 6 else [words("Why")] * len(prompts)

    says(script)
    examples = written(SelfReplay(start="chat", rows=6, min_tokens=1), bench)
    tails = [bench.tokenizer.decode(ids).split("<|assistant|>")[1] for ids, _ in all_of(examples)]
    assert tails == ["the first answer<|end|>", "some other long"]


def test_rows_that_repeat_themselves_or_others_or_are_short_are_left_out(
    bench: Workbench, says: Says
) -> None:
    texts = [
        "a quick brown fox",
        "A  quick brown FOX",  # the same
        "a quick brown fox!",  # nearly
        "na na na na na na na",
        "ab",
        "something else entirely",
    ]
    says(lambda prompts: [[*words(text), END] for text in texts][: len(prompts)])
    examples = written(SelfReplay(start="bos", rows=6), bench)
    kept = [bench.tokenizer.decode(ids[1:-1]) for ids, _ in all_of(examples)]
    assert kept == [texts[0], texts[5]]
    bench.stage = replace(bench.stage, number=2)
    loose = SelfReplay(start="bos", rows=6, min_tokens=1, min_distinct=0, max_overlap=1)
    kept = [bench.tokenizer.decode(ids[1:-1]) for ids, _ in all_of(written(loose, bench))]
    assert kept == [text for text in texts if text != texts[1]]


def test_test_items_are_never_rehearsed(bench: Workbench, says: Says) -> None:
    questions = ["What is its colour?", "Where is it?"]
    held_back = {
        exchange_hash(exchange("t", "what is its  COLOUR?", "Red it is")),
        exchange_hash(Row("t", (), "Once upon A time")),
    }
    bench.stage = replace(bench.stage, held_back=frozenset(held_back))
    texts = ["once upon a time", "there was a king"]

    def script(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        if list(prompts[0]) == HEAD:
            return [[*words(text), END] for text in questions][: len(prompts)]
        if list(prompts[0]) == [END]:
            return [[*words(text), END] for text in texts][: len(prompts)]
        return [[*words("red it is"), END] for _ in prompts]

    says(script)
    examples = written(SelfReplay(rows=4), bench)
    found = [bench.tokenizer.decode(ids, skip_special_tokens=True) for ids, _ in all_of(examples)]
    assert found == ["Where is it?\nred it is", "there was a king"]


def test_model_writes_again_until_there_are_enough_rows_but_not_for_ever(
    bench: Workbench, says: Says
) -> None:
    counter = iter(range(1000))

    def script(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        text = np.random.default_rng(next(counter)).integers(200, size=9).tolist()
        return [[*text, END] for _ in prompts]  # one new row a round

    calls = says(script)
    assert len(written(SelfReplay(start="bos", rows=3), bench)) == 3
    assert [len(call["prompts"]) for call in calls] == [3, 2, 1]
    assert len({call["seed"] for call in calls}) == 3
    bench.stage = replace(bench.stage, number=2)
    calls.clear()
    assert len(written(SelfReplay(start="bos", rows=20), bench)) == ROUNDS
    assert len(calls) == ROUNDS


def test_model_that_writes_nothing_of_use_is_told_with_the_reasons(
    bench: Workbench, says: Says
) -> None:
    says(lambda prompts: [[7] * 9 if list(p) == [END] else [7] for p in prompts])
    with pytest.raises(ModelError) as caught:
        SelfReplay(rows=4).rehearsal(bench)
    assert caught.value.message == (
        "self_replay: none of 20 rows that the model wrote can be rehearsed "
        "(10 unfinished, 10 repetitive)"
    )
    assert "start" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{% for m in messages %}{{ m['content'] }}\n\n{% endfor %}", "no token that ends"),
        (
            "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }} END <|end|>{% endfor %}",
            "no token that ends",
        ),
        (None, "has no chat template"),
    ],
)
def test_chat_whose_turns_have_no_marks_is_refused(
    template: str | None, fault: str, bench: Workbench
) -> None:
    bench.tokenizer.chat_template = template
    try:
        with pytest.raises(ModelError, match=fault) as caught:
            SelfReplay(start="chat").rehearsal(bench)
        assert caught.value.fix == "self_replay: {start: bos}"
    finally:
        bench.tokenizer.chat_template = build_tokenizer().chat_template


def test_tokenizer_that_marks_neither_beginning_nor_end_of_texts_is_refused(
    bench: Workbench,
) -> None:
    bench.tokenizer = build_tokenizer()
    bench.tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no token that begins or ends a text"):
        SelfReplay(start="bos").rehearsal(bench)


def test_form_of_a_chat_holds_the_template_s_own_system_turn_and_thinking_block() -> None:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = (
        "<|system|>Be brief.<|end|>\n{% for m in messages %}<|{{ m['role'] }}|>"
        "{% if m['role'] == 'assistant' %}(thought){% endif %}{{ m['content'] }} <|end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    form = ChatForm.of(tokenizer)
    assert tokenizer.decode(form.head) == "<|system|>Be brief.<|end|>\n<|user|>"
    assert tokenizer.decode(form.between) == " <|end|>\n<|assistant|>(thought)"
    assert form.end == END
    assert form.closing >= {END}


def test_same_seed_writes_the_same_and_another_seed_or_stage_something_else(
    tiny_model: Path,
) -> None:
    def rows(seed: int = 0, stage: int = 0) -> Any:
        bench = workbench(fresh(tiny_model), stages("a", "b", seed=seed)[stage])
        return all_of(written(SelfReplay(rows=5, max_new_tokens=9), bench))

    assert rows() == rows()
    assert rows() != rows(seed=1)
    assert rows() != rows(stage=1)


def test_nothing_outside_notices_that_the_model_wrote(bench: Workbench) -> None:
    before = weights(bench.model)
    states = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    SelfReplay(rows=5, max_new_tokens=9).rehearsal(bench)
    assert torch.get_rng_state().equal(states[0])
    assert (random.getstate(), str(np.random.get_state())) == states[1:]
    assert differing(weights(bench.model), before) == []
    assert all(parameter.grad is None for parameter in bench.model.parameters())


def test_rows_are_written_before_each_stage_or_before_the_first_alone(tiny_model: Path) -> None:
    first, second = stages("a", "b")
    for refresh, same in (("every_stage", False), ("first_stage", True)):
        method = SelfReplay(rows=5, max_new_tokens=9, refresh=refresh)
        found = [
            all_of(written(method, workbench(fresh(tiny_model), stage)))
            for stage in (first, second)
        ]
        assert (found[0] == found[1]) is same


def test_killed_stage_goes_on_with_the_rows_it_had(
    tiny_model: Path, tmp_path: Path, says: Says
) -> None:
    """The model that wrote them is gone by then."""
    stage = stages("a")[0]
    methods = Compose([SelfReplay(rows=5, max_new_tokens=9)])
    ((_, rows),) = methods.rehearsal(workbench(fresh(tiny_model), stage))
    methods.save(tmp_path / "state")
    again = Compose([SelfReplay(rows=5, max_new_tokens=9)])
    again.restore(tmp_path / "state")
    calls = says(lambda prompts: [[7] for _ in prompts])
    ((_, found),) = again.rehearsal(workbench(fresh(tiny_model), stage))
    assert all_of(found) == all_of(rows)
    assert calls == []
    with pytest.raises(ModelError, match=r"none of \d+ rows"):  # the next stage writes anew
        again.rehearsal(workbench(fresh(tiny_model), replace(stage, number=2)))


def test_state_before_anything_was_written_is_empty() -> None:
    method = SelfReplay()
    assert method.state() == State()
    method.restore(State())
    assert method.state() == State()


def test_nothing_is_written_in_a_dry_run(tiny_model: Path, says: Says) -> None:
    calls = says(lambda prompts: [[7] for _ in prompts])
    loaded = fresh(tiny_model)
    loaded.model = loaded.model.to("meta")
    assert SelfReplay().rehearsal(workbench(loaded, stages("a")[0])) == []
    assert calls == []


def test_identity_holds_the_test_items_that_are_left_out() -> None:
    stage = stages("a")[0]
    other = replace(stage, held_back=stage.held_back | {b"another"})
    assert SelfReplay().identity(stage) != SelfReplay().identity(other)
    assert SelfReplay().identity(stage) == SelfReplay().identity(replace(stage))
    assert SelfReplay().identity(stage) != SelfReplay(rows=9).identity(stage)


def test_it_acts_from_the_first_stage_on_if_at_all() -> None:
    assert SelfReplay().acts_in(stages("a")[0])
    assert not SelfReplay(ratio=0).acts_in(stages("a", "b")[1])


def test_turns_leave_room_for_each_other_within_the_longest_row(tiny_model: Path) -> None:
    bench = workbench(fresh(tiny_model), stages("a")[0], settings(max_length=24))
    method = SelfReplay(start="both", rows=150, max_new_tokens=1000, min_tokens=1)
    lengths = [len(ids) for ids, _ in all_of(written(method, bench))]
    assert max(lengths) == 24
    kinds = {origin.row.split("-")[0] for origin in written(method, bench).origins}
    assert kinds == {"chat", "bos"}


def test_question_takes_at_most_half_of_the_room(tiny_model: Path, says: Says) -> None:
    bench = workbench(fresh(tiny_model), stages("a")[0], settings(max_length=24))
    calls = says(lambda prompts: [[*words("abcdefghij"), END] for _ in prompts])
    written(SelfReplay(start="chat", rows=1, max_new_tokens=1000), bench)
    assert calls[0]["longest"] == (24 - len(HEAD) - len(BETWEEN)) // 2 == 10
    assert calls[1]["longest"] == 24 - len(HEAD) - 10 - len(BETWEEN) == 10


def test_rehearsing_its_own_text_keeps_a_model_nearer_to_what_it_was(
    tiny_model: Path, tmp_path: Path
) -> None:
    """KL(before || after) on texts that the model before writes, which is what the loss bounds."""
    stage = one_stage_a_task([make_task("new", [exchange(n, f"{n}?", "no") for n in range(12)])])[0]
    taught = fresh(tiny_model)
    train(taught, stages("a", seed=3)[0], settings(steps=60, batch_size=12), tmp_path / "taught")
    start = weights(taught.model)
    judge = SelfReplay(start="bos", rows=40, max_new_tokens=20, max_overlap=1, min_distinct=0)
    texts = all_of(written(judge, workbench(taught, replace(stage, number=9))))

    def after(ratio: float) -> float:
        loaded = fresh(tiny_model)
        restore(loaded.model, start)
        own = SelfReplay(ratio=ratio, start="bos", rows=60, max_new_tokens=20, min_distinct=0)
        trained = train(
            loaded, stage, settings(steps=30), tmp_path / str(ratio), Compose([own])
        ).model
        return divergence(taught.model, trained, [ids for ids, _ in texts])

    restore(taught.model, start)
    assert after(0.5) < 0.5 * after(0)


def restore(model: Any, values: Weights) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(values[name])


def divergence(before: Any, after: Any, texts: Sequence[list[int]]) -> float:
    """Mean over the tokens of the texts of KL(before || after), in nats."""
    total, tokens = 0.0, 0
    with torch.no_grad():
        for ids in texts:
            p, q = (model(torch.tensor([ids])).logits.log_softmax(-1) for model in (before, after))
            total += float((p.exp() * (p - q)).sum())
            tokens += len(ids)
    return total / tokens

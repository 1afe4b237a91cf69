"""What a plan will take: exact in rows, tokens and steps, and found without any weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetless.errors import DataError
from forgetless.estimate import Estimate, estimate
from forgetless.models.load import load_tokenizer
from forgetless.plan import Plan, make_plan
from forgetless.preparation import prepare
from tests.tiny import write_rows
from tests.training.build import stage_schedule

MakePlan = Callable[..., Plan]
Find = Callable[..., Estimate]

# Every row is <|user|>ask?<|end|>\n<|assistant|>say n<|end|>\n: 1+4+2 + 1+5+2 = 15 tokens.
TOKENS = 15


@pytest.fixture
def plan(tiny_model: Path, tmp_path: Path) -> MakePlan:
    """A plan of two tasks with 10 rows of 15 tokens each, with changes."""
    test = write_rows(tmp_path / "t.jsonl", [{"prompt": "other?", "completion": "z"}])

    def rows(name: str, first: int) -> dict[str, str]:
        numbers = range(first, first + 10)
        content = [{"prompt": "ask?", "completion": f"say {n % 10}"} for n in numbers]
        train = write_rows(tmp_path / f"{name}.jsonl", content)
        return {"train": str(train), "test": str(test)}

    def make(**changes: Any) -> Plan:
        training = {"epochs": 2, "batch_size": 4, "max_length": 256, "device": "cpu"}
        training |= changes.pop("training", {})
        keys = {"model": str(tiny_model), "sequence": [rows("a", 0), rows("b", 10)], "methods": []}
        return make_plan(keys | changes | {"training": training})

    return make


@pytest.fixture
def find(plan: MakePlan) -> Find:
    """Estimate that plan."""
    return lambda **changes: estimate(plan(**changes))


def test_rows_tokens_and_steps_are_those_counted_by_hand(find: Find) -> None:
    found = find()
    assert [stage.name for stage in found.stages] == ["1-a", "2-b"]
    assert [stage.rows for stage in found.stages] == [20, 20]
    assert [stage.tokens for stage in found.stages] == [20 * TOKENS, 20 * TOKENS]
    assert [stage.replayed_tokens for stage in found.stages] == [0, 0]
    assert [stage.steps for stage in found.stages] == [5, 5]


@pytest.mark.parametrize(
    ("training", "rows", "steps"),
    [
        ({"epochs": 1}, 10, 3),  # 10 rows in batches of 4: 4 + 4 + 2
        ({"epochs": 1, "accumulation": 2}, 10, 2),  # 8 + 2
        ({"epochs": 0.5}, 5, 2),
        ({"steps": 7}, 28, 7),
        ({"steps": 2, "accumulation": 3}, 24, 2),
    ],
)
def test_steps_follow_from_rows_batch_and_accumulation(
    find: Find, training: dict[str, Any], rows: int, steps: int
) -> None:
    (first, _) = find(training=training).stages
    assert (first.rows, first.steps, first.tokens) == (rows, steps, rows * TOKENS)


def test_replayed_tokens_are_the_share_asked_for(find: Find) -> None:
    first, second = find(methods=[{"replay": {"ratio": 0.5}}]).stages
    assert (first.tokens, first.replayed_tokens) == (20 * TOKENS, 0)
    assert (second.tokens, second.replayed_tokens) == (40 * TOKENS, 20 * TOKENS)


def test_tokens_are_those_of_the_schedule_that_would_be_trained(plan: MakePlan) -> None:
    made = plan(methods=[{"replay": {"ratio": 0.3, "buffer": "reservoir", "size": 3}}])
    experiment, tokenizer = prepare(made), load_tokenizer(made.model)
    for stage, found in zip(experiment.stages, estimate(made).stages, strict=True):
        trained = stage_schedule(stage, experiment.methods, tokenizer, made.training)
        assert (found.rows, found.tokens) == (len(trained), trained.tokens)
        assert found.replayed_tokens == trained.replayed_tokens
        experiment.methods.keep_rows(stage)


def test_joint_training_is_one_stage_on_everything(find: Find) -> None:
    (stage,) = find(methods=["joint"]).stages
    assert (stage.name, stage.rows, stage.steps) == ("1-joint", 40, 10)


def test_parameters_and_memory_are_counted_by_hand(find: Find) -> None:
    found = find()
    attention = 64 * 64 * 2 + 64 * 32 * 2  # queries and output; keys and values of two heads
    layer = attention + 3 * 64 * 128 + 2 * 64
    assert found.parameters == found.trainable == 261 * 64 + 2 * layer + 64
    assert found.memory_gb == pytest.approx(
        16 * found.parameters / 1e9
    )  # weight, gradient, Adam's two


def test_an_adapter_leaves_few_parameters_to_train(find: Find) -> None:
    whole, found = find(), find(methods=[{"lora": {"rank": 2}}])
    pairs = (64 + 64) + (64 + 32) * 2 + (64 + 64) + (64 + 128) * 2 + (128 + 64)
    assert found.trainable == 2 * 2 * pairs
    assert found.parameters == whole.parameters
    assert found.memory_gb < whole.memory_gb
    assert found.method == "lora"


def test_time_is_in_proportion_to_tokens(find: Find) -> None:
    first, second = find(methods=[{"replay": {"ratio": 0.5}}]).stages
    assert second.seconds == pytest.approx(2 * first.seconds)
    assert first.seconds > 0


def test_tasks_are_told_with_what_decides_their_score(find: Find) -> None:
    a, _ = find().tasks
    assert (a.name, a.train_rows, a.test_items) == ("a", 10, 1)
    assert (a.score, a.rendering) == ("exact_match", "chat")


def test_warnings_about_the_data_are_passed_on(find: Find, tmp_path: Path) -> None:
    same = str(write_rows(tmp_path / "same.jsonl", [{"prompt": "p", "completion": "c"}]))
    found = find(sequence=[{"train": same, "test": same, "name": "x"}], test_only=[same])
    assert [warning[:35] for warning in found.warnings] == [
        "task 'x': 1 of 1 test items also oc",
        "task 'x': few test items: figures r",
        "task 'same': 1 of 1 test items also",
        "task 'same': few test items: figure",
    ]


def test_a_row_beyond_the_context_of_the_model_is_refused_whatever_the_length_allowed(
    find: Find, tmp_path: Path
) -> None:
    long = str(write_rows(tmp_path / "long.jsonl", [{"prompt": "p", "completion": "c" * 300}] * 2))
    with pytest.raises(DataError) as caught:
        find(sequence=[{"train": long, "test": long}], training={"max_length": 1024})
    assert "tokens, more than the model's context of 256" in caught.value.message
    assert caught.value.fix == "--set training.too_long=drop (or truncate)"


def test_a_row_longer_than_the_length_allowed_is_refused(find: Find, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        find(training={"max_length": 14})
    assert caught.value.message == (
        f"{tmp_path / 'a.jsonl'}: row '0' of task 'a' has 15 tokens, more than "
        "training.max_length = 14"
    )


def test_the_estimate_is_plain_data(find: Find) -> None:
    found = json.loads(json.dumps(find().to_json()))
    assert found["stages"][1]["name"] == "2-b"
    assert found["tasks"][0]["score"] == "exact_match"


def test_items_that_could_not_be_scored_are_foretold(find: Find, tmp_path: Path) -> None:
    rows = [{"prompt": "p" * length, "completion": "c"} for length in (5, 400)]
    test = str(write_rows(tmp_path / "long_test.jsonl", rows))
    found = find(test_only=[{"test": test, "score": "nll", "name": "long"}])
    (warning,) = [text for text in found.warnings if "'long'" in text]
    assert warning.startswith("1 of 2 test items of 'long' cannot be scored; the first is '1': ")
    assert warning.endswith("tokens are more than the model's context of 256")


def test_rows_that_the_model_writes_are_counted_at_their_longest(find: Find) -> None:
    own = {"self_replay": {"ratio": 0.2, "rows": 10, "max_new_tokens": 8}}
    for stage in find(methods=[own]).stages:
        assert stage.written_tokens == (5 * 2 + 5) * 8  # questions with answers, and free texts
        assert stage.tokens == 20 * TOKENS
        assert stage.own_tokens == 20 * TOKENS / 4  # 0.2 of the whole
        assert stage.other_seconds > 0
    both = find(methods=[own, {"replay": {"ratio": 0.3}}]).stages[1]
    assert both.tokens + both.own_tokens == pytest.approx(20 * TOKENS / 0.5, rel=0.05)
    assert find(methods=[own], training={"equal_tokens": True}).stages[0].own_tokens == 0
    first = {"self_replay": own["self_replay"] | {"refresh": "first_stage"}}
    assert [stage.written_tokens > 0 for stage in find(methods=[first]).stages] == [True, False]


def test_what_guard_items_take_is_counted_by_hand(find: Find, tmp_path: Path) -> None:
    rows = [{"prompt": "ask?", "completion": letter} for letter in "abcdefghijklmnop"]
    test = str(write_rows(tmp_path / "sixteen.jsonl", rows))
    train = str(write_rows(tmp_path / "c.jsonl", [{"prompt": "ask?", "completion": "say 1"}]))
    tasks = [{"train": train, "test": test, "name": name, "max_new_tokens": 3} for name in "ab"]
    known = [{"test": test, "name": "known", "max_new_tokens": 3}]
    # <|user|>ask?<|end|>\n<|assistant|> are 8 tokens, and 3 are written; 8 items guard
    item = 8 * (8 + 3)
    budget = {"loss": "10%", "checks": 4}
    first, second = find(sequence=tasks, budget=budget).stages
    assert first.asked_tokens == item  # what was learned, once
    assert second.asked_tokens == item * (4 + 1 + 2)  # four checks and the end; before and after
    first, second = find(
        sequence=tasks, budget={"loss": "10%", "checks": 4}, test_only=known
    ).stages
    assert first.asked_tokens == item * (1 + 4 + 1 + 2)
    assert second.asked_tokens == item * (2 * (4 + 1) + 2)
    assert find(sequence=tasks).stages[1].asked_tokens == 0

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.evaluation import scorer
from forgetless.evaluation.grading import GENERATED
from forgetless.evaluation.likelihood import Likelihood, Request, log_likelihoods
from forgetless.evaluation.packing import grow
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.scorer import score_task
from forgetless.models import blocks
from forgetless.models.forest import common
from forgetless.models.load import LoadedModel
from forgetless.models.tree import Trunk
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task
from forgetless.tasks.text_rules import LowerCase
from tests.evaluation.build import COLOURS, choices, scored, texts
from tests.training.build import exchange, load, make_task, with_added_token


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Log-likelihood of a continuation by its text; filled in by the test."""
    totals: dict[str, float] = {}

    def by_text(loaded: LoadedModel, asked: Sequence[Request], _: Trunk) -> list[Likelihood]:
        texts = [loaded.tokenizer.decode(request.continuation) for request in asked]
        return [
            Likelihood(totals[text], len(request.continuation))
            for text, request in zip(texts, asked, strict=True)
        ]

    monkeypatch.setattr(scorer, "log_likelihoods", by_text)
    return totals


def one_choice(*offered: str, gold: str, **settings: Any) -> Task:
    row = exchange("item", "Which?", gold, choices=offered)
    return make_task("t", (), [row], **{"score": "multiple_choice", **settings})


@pytest.mark.parametrize(
    ("normalise", "picked", "score"), [(False, "ab", 0.0), (True, "abcd", 1.0)]
)
def test_sum_and_length_normalised_choice_by_hand(
    normalise: bool, picked: str, score: float, told: dict[str, float], tiny: LoadedModel
) -> None:
    """-2 over 2 characters is -1 each, -3 over 4 is -0.75: sum and mean differ."""
    told |= {"ab": -2.0, "abcd": -3.0}
    task = one_choice("ab", "abcd", gold="abcd", normalise=normalise)
    (found,) = scored(tiny, task).values()
    assert (found.output, found.answer, found.score, found.correct) == (
        picked, picked, score, bool(score)
    )  # fmt: skip
    assert found.readings == {"acc": 0.0, "acc_norm": 1.0, "nll": 3.0 / 4}
    assert (found.gold, found.choices) == ("abcd", ("ab", "abcd"))
    assert found.prompt == "<|user|>Which?<|end|>\n<|assistant|>"


@pytest.mark.parametrize("gold", ["abc", "xyz"])
def test_tie_goes_to_the_first(gold: str, uniform: LoadedModel) -> None:
    found = scored(uniform, one_choice("abc", "xyz", "klm", gold=gold))["item"]
    assert found.output == "abc"
    assert found.readings["acc"] == found.readings["acc_norm"] == (gold == "abc")
    assert found.readings["nll"] == pytest.approx(math.log(len(uniform.tokenizer)))


def test_uniform_model_prefers_the_shortest_by_sum_and_the_first_by_character(
    uniform: LoadedModel,
) -> None:
    found = scored(uniform, one_choice("abcd", "ab", "abc", gold="ab"))["item"]
    assert found.output == "ab"
    assert found.readings["acc"] == 1.0
    assert found.readings["acc_norm"] == 0.0  # all alike: the first


def test_nll_score_is_minus_the_nll_per_token(taught: LoadedModel) -> None:
    for found in scored(taught, texts()).values():
        assert found.score is not None
        assert found.score == -found.readings["nll"] < 0
        assert found.correct is None
        assert found.output is None


def test_nll_of_an_answer_counts_the_answer_alone(uniform: LoadedModel) -> None:
    task = make_task("t", (), [exchange("a", "A long question?", "abc")], score="nll")
    found = scored(uniform, task)["a"]
    assert found.readings["tokens"] == 3
    assert found.score == pytest.approx(-math.log(len(uniform.tokenizer)))


@pytest.mark.parametrize("score", ["exact_match", "contains", "token_f1"])
def test_generated_answer_is_kept_raw_and_compared_normalised(
    score: str, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer, "generate", lambda *_: ["  It is Red."])
    row = exchange("item", "Which?", "scarlet", aliases=("red",))
    (found,) = scored(tiny, make_task("t", (), [row], score=score)).values()
    assert (found.output, found.answer) == ("  It is Red.", "it is red")
    assert found.readings == {"exact_match": 0.0, "contains": 1.0, "token_f1": 0.5}
    assert found.score == found.readings[score]
    assert found.correct == {"exact_match": False, "contains": True, "token_f1": None}[score]


def test_most_taught_answers_are_right(taught: LoadedModel) -> None:
    task = make_task("colours", (), COLOURS.train, max_new_tokens=8)
    results = scored(taught, task)
    assert sum(result.correct is True for result in results.values()) >= 6
    assert len({r.output for r in results.values() if r.correct}) >= 3


@pytest.mark.parametrize("score", ["exact_match", "multiple_choice", "nll"])
def test_an_item_with_a_token_that_the_model_has_no_weights_for_is_an_error(
    score: str, tiny_model: Path
) -> None:
    loaded = with_added_token(tiny_model, "zebra")
    number = len(loaded.tokenizer) - 1
    items = [
        exchange(name, f"{name}?", "red", choices=("red", "blue")) for name in ("cat", "zebra")
    ]
    results = scored(loaded, make_task("animals", (), items, score=score))
    assert results["cat"].error is None
    assert results["zebra"].score is None
    assert results["zebra"].error == (
        f"the tokenizer's token 'zebra' has number {number}, and the model has weights for those "
        f"below {number}"
    )


@pytest.mark.parametrize(
    ("task", "taken"),
    [
        (make_task("t", (), COLOURS.train, max_new_tokens=20), 4 + 20),  # template and answer
        (choices(), 4 + len("blue")),  # template and the longest choice
        (texts(), 0),
    ],
    ids=["generated", "choices", "texts"],
)
def test_item_too_long_for_the_context_is_an_error_and_the_others_are_scored(
    task: Task, taken: int, taught: LoadedModel
) -> None:
    """256 tokens fit; one more is an error with its reason and never a score."""

    def item(name: str, tokens: int) -> Row:
        long = "x" * (tokens - taken)
        if task.name == "texts":
            return Row(name, (), long)
        return exchange(name, long, "red", choices=("red", "blue"))

    more = replace(task, test=[item("257", 257), *task.test, item("256", 256)])
    results, alone = scored(taught, more), scored(taught, task)
    assert results["256"].error is None
    assert results["256"].score is not None
    fails = results["257"]
    assert fails.error == "257 tokens are more than the model's context of 256"
    assert (fails.score, fails.correct, fails.output, fails.readings) == (None, None, None, {})
    assert json.loads(fails.to_line())["score"] is None
    for row in task.test:
        assert results[row.id].score == pytest.approx(alone[row.id].score, abs=1e-4)
        assert results[row.id].output == alone[row.id].output


def test_conversation_that_the_template_refuses_is_an_error_of_that_item(
    taught: LoadedModel, taught_folder: Path
) -> None:
    strict = load(taught_folder)
    strict.tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}"
        + strict.tokenizer.chat_template
    )
    odd = Row("odd", (Turn("tool", "x"), Turn("user", "colour 0-1?")), "red")
    results = scored(strict, make_task("t", (), [COLOURS.test[0], odd]))
    assert results["odd"].error is not None
    assert "no tools here" in results["odd"].error
    assert results["odd"].score is None
    assert results[COLOURS.test[0].id].error is None


def test_item_without_choices_is_an_error_of_that_item(taught: LoadedModel) -> None:
    rows = [*choices(2).test, exchange("none", "Which?", "red")]
    results = scored(taught, make_task("t", (), rows, score="multiple_choice"))
    assert results["none"].error == "the item has no choices"
    assert [result.error for result in results.values()].count(None) == 2


def test_text_of_one_token_has_nothing_to_score(taught: LoadedModel) -> None:
    rows = [Row("one", (), "x"), Row("two", (), "xy")]
    results = scored(taught, make_task("t", (), rows, score="nll"))
    assert results["one"].error == "the answer 'x' has no token to score"
    assert results["two"].readings["tokens"] == 1


@pytest.mark.parametrize(
    "task", [choices(3), texts(), COLOURS], ids=["choices", "texts", "generated"]
)
def test_likelihood_that_is_no_number_is_an_error_and_no_score(
    task: Task, tiny_model: Path
) -> None:
    broken = load(tiny_model)
    with torch.no_grad():
        broken.model.model.norm.weight[0] = torch.nan
    for result in scored(broken, task).values():
        assert result.error == "the model's likelihood is not a number"
        assert result.score is None
        assert json.loads(result.to_line())["correct"] is None


def test_shots_stand_before_the_item_in_chat_and_in_plain_form(uniform: LoadedModel) -> None:
    shot = exchange("s", "One?", "1")
    item = exchange("i", "Two?", "2", choices=("2", "3"))
    for style, prompt in (
        ("chat", "<|user|>One?<|end|>\n<|assistant|>1<|end|>\n<|user|>Two?<|end|>\n<|assistant|>"),
        ("plain", "Question: One?\nAnswer: 1\n\nQuestion: Two?\nAnswer:"),
    ):
        task = make_task("t", (), [item], shots=(shot,), render=style, score="multiple_choice")
        assert scored(uniform, task)["i"].prompt == prompt


def test_all_choices_of_an_item_go_through_the_model_together(
    taught: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no pack has more than 12 tokens for each sequence asked for, but for an item alone."""
    passes: list[tuple[int, int, int]] = []

    def counting(loaded: LoadedModel, asked: Sequence[Request], trunk: Trunk) -> list[Likelihood]:
        paths = [request.path[len(trunk.ids) :] for request in asked]
        trunk_of_pack = common(min(paths), max(paths))
        items = len({tuple(request.context) for request in asked})
        nodes = len(grow(asked, len(trunk.ids)).ids)
        passes.append((items, len(asked), nodes - trunk_of_pack))
        return log_likelihoods(loaded, asked, trunk)

    monkeypatch.setattr(scorer, "log_likelihoods", counting)
    task = choices(9)
    total = sum(len(row.choices) for row in task.test)
    numbers = []
    for size in (1, 4, 8, 100):
        passes.clear()
        scored(taught, task, size)
        assert sum(items for items, _, _ in passes) == 9
        assert sum(requests for _, requests, _ in passes) == total
        assert all(nodes <= 12 * size for items, _, nodes in passes if items > 1)
        numbers.append(len(passes))
    assert numbers[0] == 9
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[-1] == 1


@pytest.mark.parametrize("score", sorted(GENERATED))
def test_answers_that_are_written_are_continued_four_batches_at_a_time(
    score: str, taught: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules, too, hold against what is written: nothing is laid out for a likelihood."""
    together: list[int] = []

    def generate(_: Any, prompts: Sequence[list[int]], *rest: Any) -> list[str]:
        together.append(len(prompts))
        assert rest[-1] == 2
        return ["it is 7"] * len(prompts)

    monkeypatch.setattr(scorer, "generate", generate)
    rules = {"rules": (LowerCase(),)} if score == "rules" else {}
    rows = [exchange(f"item-{n}", f"Which, number {n}?", "it is 7", **rules) for n in range(20)]
    found = scored(taught, make_task("t", (), rows, score=score), batch_size=2)
    assert together == [8, 8, 4]
    assert {result.score for result in found.values()} == {1.0}


def test_a_batch_is_skipped_only_whole(taught: LoadedModel) -> None:
    task = make_task("t", (), [*COLOURS.train, *COLOURS.test], max_new_tokens=4)
    # One at a time, and four that take turns.
    whole = [[result.item for result in batch] for batch in score_task(taught, task, 1)]
    assert [len(batch) for batch in whole] == [4, 4, 4, 4, 2]
    done = {*whole[0], *whole[2], whole[1][0]}
    again = [[r.item for r in batch] for batch in score_task(taught, task, 1, done)]
    assert again == [whole[1], *whole[3:]]
    assert list(score_task(taught, task, 1, {row.id for row in task.test})) == []


def test_failed_items_are_not_reported_again(taught: LoadedModel) -> None:
    long = exchange("long", "x" * 300, "red")
    task = make_task("t", (), [long, *COLOURS.test], max_new_tokens=4)
    assert list(score_task(taught, task, 5, {"long", *(row.id for row in COLOURS.test)})) == []
    first, *_ = score_task(taught, task, 5)
    assert [result.item for result in first] == ["long"]


@pytest.mark.parametrize("worth", [1, 1 << 20])
def test_weights_are_in_blocks_while_a_task_is_scored_that_is_worth_it(
    worth: int, taught: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "LEAST", 1)
    wanted = scored(taught, choices())
    monkeypatch.setattr(scorer, "TOKENS_WORTH_BLOCKS", worth)

    def laid_out() -> int:
        return sum("forward" in vars(module) for module in taught.model.modules())

    found: dict[str, ItemResult] = {}
    for batch in score_task(taught, choices(), 2):
        assert bool(laid_out()) is (worth == 1)
        found |= {result.item: result for result in batch}
    assert not laid_out()
    for item, result in wanted.items():
        assert found[item].readings == pytest.approx(result.readings, abs=1e-4)
    next(score_task(taught, choices(), 2))  # and left alone
    assert not laid_out()

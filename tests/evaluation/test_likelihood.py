"""Log-likelihoods against one forward pass a sequence, without padding or batches."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from forgetless.evaluation.likelihood import Request, batches, log_likelihoods, vocabulary_size
from forgetless.models.load import LoadedModel
from forgetless.tasks.row import Row
from tests.evaluation.build import choices, scored, texts
from tests.training.build import exchange, make_task, with_learned_positions


def naive(loaded: LoadedModel, context: list[int], continuation: list[int]) -> float:
    """Sum of log-probabilities in float64, from all logits of the one sequence."""
    ids = [*context, *continuation]
    with torch.no_grad():
        logits = loaded.model(torch.tensor([ids])).logits[0].double()
    logs = torch.log_softmax(logits, -1)
    first = max(len(context), 1)
    return sum(float(logs[place - 1, ids[place]]) for place in range(first, len(ids)))


def by_hand(loaded: LoadedModel, row: Row, answer: str, style: str) -> tuple[float, int]:
    """Likelihood and tokens of an answer, with the prompt written out from the template."""
    question = row.prompt[0].content
    if style == "chat":
        prompt, text = f"<|user|>{question}<|end|>\n<|assistant|>", answer
    else:
        prompt, text = f"Question: {question}\nAnswer:", " " + answer
    context, continuation = (loaded.tokenizer(part)["input_ids"] for part in (prompt, text))
    return naive(loaded, context, continuation), len(continuation)


@pytest.mark.parametrize("style", ["chat", "plain"])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_choice_has_the_likelihood_of_an_unbatched_pass(
    style: str, batch_size: int, taught: LoadedModel
) -> None:
    task = choices(render=style)
    results = scored(taught, task, batch_size)
    assert set(results) == {row.id for row in task.test}
    for row in task.test:
        likelihoods = [by_hand(taught, row, choice, style) for choice in row.choices]
        gold, tokens = likelihoods[row.gold]
        found = results[row.id]
        assert found.readings["nll"] * tokens == pytest.approx(-gold, abs=1e-4)
        totals = {c: total for c, (total, _) in zip(row.choices, likelihoods, strict=True)}
        best = max(totals, key=lambda choice: totals[choice])
        best_by_character = max(totals, key=lambda choice: totals[choice] / len(choice))
        assert found.readings["acc"] == (best == row.answer)
        assert found.readings["acc_norm"] == (best_by_character == row.answer)
        assert found.output == best


def test_the_two_ways_to_choose_do_differ_on_this_task(taught: LoadedModel) -> None:
    """Otherwise the test above could not tell one from the other."""
    results = scored(taught, choices(), 64).values()
    assert any(r.readings["acc"] != r.readings["acc_norm"] for r in results)
    assert len({r.output for r in results}) > 1


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_text_has_the_likelihood_of_an_unbatched_pass_without_its_first_token(
    batch_size: int, taught: LoadedModel
) -> None:
    task = texts()
    results = scored(taught, task, batch_size)
    for row in task.test:
        ids = taught.tokenizer(row.answer)["input_ids"]
        found = results[row.id]
        assert found.readings["tokens"] == len(ids) - 1
        assert found.score == pytest.approx(naive(taught, [], ids) / (len(ids) - 1), abs=1e-5)


def requests(count: int, seed: int = 0) -> list[Request]:
    draw = random.Random(seed)
    return [
        Request(
            [draw.randrange(256) for _ in range(draw.choice([0, 1, 5, 40]))],
            [draw.randrange(256) for _ in range(draw.choice([2, 3, 30]))],
        )
        for _ in range(count)
    ]


def test_requests_of_any_shape_go_through_together(taught: LoadedModel) -> None:
    asked = requests(12)
    found = log_likelihoods(taught, asked)
    for request, likelihood in zip(asked, found, strict=True):
        assert likelihood.tokens == len(request.continuation) - (not request.context)
        expected = naive(taught, request.context, request.continuation)
        assert likelihood.total == pytest.approx(expected, abs=1e-4)


def test_company_changes_nothing(taught: LoadedModel) -> None:
    asked = requests(10)
    together = log_likelihoods(taught, asked)
    for request, likelihood in zip(asked, together, strict=True):
        (alone,) = log_likelihoods(taught, [request])
        assert alone.total == pytest.approx(likelihood.total, abs=1e-4)
    others = log_likelihoods(taught, asked[:3] + requests(7, seed=1))
    assert [x.total for x in others[:3]] == pytest.approx([x.total for x in together[:3]], abs=1e-4)


def test_padding_does_not_move_a_sequence(taught: LoadedModel) -> None:
    """For a model that knows absolute positions, in training and in scoring."""
    model = with_learned_positions(taught.tokenizer)
    asked = requests(12)
    for request, likelihood in zip(asked, log_likelihoods(model, asked), strict=True):
        expected = naive(model, request.context, request.continuation)
        assert likelihood.total == pytest.approx(expected, rel=1e-5, abs=1e-4)


def test_uniform_model_gives_the_logarithm_of_the_vocabulary_per_token(
    uniform: LoadedModel,
) -> None:
    vocabulary = len(uniform.tokenizer)
    assert vocabulary_size(uniform.model) == vocabulary
    for likelihood in log_likelihoods(uniform, requests(5)):
        assert likelihood.total == pytest.approx(-likelihood.tokens * math.log(vocabulary))


lengths = st.tuples(st.integers(0, 20), st.integers(1, 20))


@given(
    shapes=st.lists(lengths, max_size=30), size=st.integers(1, 8), vocabulary=st.integers(1, 10**7)
)
@hypothesis_settings(max_examples=60)
def test_batches_hold_every_request_once_and_keep_to_their_bounds(
    shapes: list[tuple[int, int]], size: int, vocabulary: int
) -> None:
    asked = [Request([0] * before, [0] * after) for before, after in shapes]
    found = list(batches(asked, size, vocabulary))
    assert sorted(index for batch in found for index in batch) == list(range(len(asked)))
    for batch in found:
        assert 1 <= len(batch) <= size
        columns = max(len(asked[index].continuation) for index in batch)
        assert len(batch) == 1 or len(batch) * columns * vocabulary <= 64_000_000
    order = [len(asked[index]) for batch in found for index in batch]
    assert order == sorted(order, reverse=True)


class StartsEveryTextWithAMark:
    """A tokenizer of one id a character that, as Llama's does, marks the start of a text."""

    eos_token_id = None
    chat_template = None

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [1, *map(ord, text)]}


def test_answer_is_tokenised_as_it_goes_on_from_the_prompt_and_not_as_a_text_of_its_own() -> None:
    row = exchange("a", "Say it:\n", "red")
    renderer = make_task("t", (), [row], render="plain").renderer(StartsEveryTextWithAMark())
    assert renderer.prompt_ids(row) == [1, *map(ord, "Say it:\n")]
    assert renderer.continuation_ids(row, "red") == list(map(ord, "red"))

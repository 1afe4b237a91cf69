"""Log-likelihoods against one forward pass a sequence, without padding or batches."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from forgetless.evaluation.likelihood import (
    Request,
    batches,
    log_likelihoods,
    put_together,
)
from forgetless.evaluation.packing import grow
from forgetless.evaluation.scorer import score_task
from forgetless.models.load import LoadedModel
from forgetless.tasks.row import Row
from tests.evaluation.build import choices, scored, texts
from tests.models.test_tree import ROTARY, Blind, build, gpt2
from tests.training.build import exchange, fresh, make_task, with_learned_positions


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


def items(count: int, preamble: int = 0, prompt: int = 12, seed: int = 0) -> list[list[Request]]:
    """Items of 2 to 4 choices, some of one token; all begin with the same preamble."""
    draw = random.Random(seed)
    first = [draw.randrange(256) for _ in range(preamble)]
    found = []
    for _ in range(count):
        context = first + [draw.randrange(256) for _ in range(1 + draw.randrange(prompt))]
        lengths = [draw.choice([1, 1, 2, 9]) for _ in range(draw.choice([2, 4]))]
        found.append(
            [Request(context, [draw.randrange(256) for _ in range(length)]) for length in lengths]
        )
    return found


def in_passes(
    loaded: LoadedModel, groups: list[list[Request]], size: int
) -> dict[tuple[int, int], float]:
    """Likelihoods by group and number, put to the model as a task's items are."""
    together = put_together(loaded, groups, size)
    found: dict[tuple[int, int], float] = {}
    for batch in together.batches:
        places = [(group, number) for group in batch for number in range(len(groups[group]))]
        asked = [groups[group][number] for group, number in places]
        totals = [each.total for each in log_likelihoods(loaded, asked, together.trunk)]
        found |= dict(zip(places, totals, strict=True))
    assert len(found) == sum(map(len, groups))
    return found


def a_model(kind: str, tokenizer: Any) -> LoadedModel:
    """Models that take trees, that take small ones, and that take none."""
    if kind == "adapter":
        torch.manual_seed(0)
        config = peft.LoraConfig(target_modules="all-linear", init_lora_weights=False)
        return LoadedModel(peft.get_peft_model(build("Llama", **ROTARY), config).eval(), tokenizer)
    made: dict[str, Callable[[], Any]] = {
        "rotary": lambda: build("Llama", **ROTARY),
        "learned positions": gpt2,
        "sliding window": lambda: build("Mistral", **ROTARY, sliding_window=30),
        "angles by length": lambda: build(
            "Llama", **ROTARY, max_position_embeddings=60,
            rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
        ),
        "recurrent": lambda: build(
            "Mamba", vocab_size=261, hidden_size=32, num_hidden_layers=2, initializer_range=0.3
        ),
        "blind": lambda: Blind(build("Llama", **ROTARY)),
    }  # fmt: skip
    return LoadedModel(made[kind](), tokenizer)


PACKED = ("rotary", "learned positions", "adapter")


@pytest.mark.parametrize("preamble", [0, 25])
@pytest.mark.parametrize("kind", [*PACKED, "sliding window", "angles by length"])
def test_items_have_the_likelihood_of_one_request_at_a_time(
    kind: str, preamble: int, tiny: LoadedModel
) -> None:
    """With the preamble some items reach beyond the window of 30: those are padded."""
    loaded = a_model(kind, tiny.tokenizer)
    groups = items(7, preamble)
    for size in (2, 32):
        for (group, number), total in in_passes(loaded, groups, size).items():
            request = groups[group][number]
            alone = naive(loaded, request.context, request.continuation)
            assert total == pytest.approx(alone, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("kind", PACKED)
def test_company_changes_nothing(kind: str, tiny: LoadedModel) -> None:
    loaded = a_model(kind, tiny.tokenizer)
    asked = requests(10)
    together = log_likelihoods(loaded, asked)
    for request, likelihood in zip(asked, together, strict=True):
        (alone,) = log_likelihoods(loaded, [request])
        assert alone.total == pytest.approx(likelihood.total, rel=1e-6, abs=1e-5)
    others = log_likelihoods(loaded, asked[:3] + requests(7, seed=1))
    assert [x.total for x in others[:3]] == pytest.approx(
        [x.total for x in together[:3]], rel=1e-6, abs=1e-5
    )


@pytest.mark.parametrize("kind", ["recurrent", "blind"])
def test_model_without_a_tree_is_asked_in_padded_batches_and_the_log_says_why(
    kind: str, tiny: LoadedModel, caplog: pytest.LogCaptureFixture
) -> None:
    """The blind one reads padding as text: only what is of one length goes through together."""
    loaded = a_model(kind, tiny.tokenizer)
    draw = random.Random(0)
    groups = [
        [Request([draw.randrange(256) for _ in range(9 + more)], [n, n, n]) for n in range(3)]
        for more in range(4)
    ]
    with caplog.at_level(logging.INFO, logger="forgetless"):
        found = in_passes(loaded, groups, 6)
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("forgetless")]
    assert lines[0].startswith("sequences are padded, not packed as a tree: ")
    assert len(lines) == (2 if kind == "blind" else 1)
    for (group, number), total in found.items():
        request = groups[group][number]
        expected = (
            naive(LoadedModel(loaded.model.inner, None), request.context, request.continuation)
            if kind == "blind"
            else naive(loaded, request.context, request.continuation)
        )
        assert total == pytest.approx(expected, rel=1e-5, abs=1e-4)
    assert [len(batch) for batch in put_together(loaded, groups, 6).batches] == [2, 2]


def test_a_short_item_is_not_given_the_angles_of_a_long_one(tiny: LoadedModel) -> None:
    """Phi 3 has others for whatever is longer than what it was first trained on."""
    rope = {
        "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 60,
        "short_factor": [1.0] * 8, "long_factor": [4.0] * 8,
    }  # fmt: skip
    model = build("Llama", **ROTARY, max_position_embeddings=240, rope_parameters=rope)
    loaded = LoadedModel(model, tiny.tokenizer)
    asked = [Request([*range(length)], [7, 8]) for length in (20, 70, 100, 70)]
    for request, likelihood in zip(asked, log_likelihoods(loaded, asked), strict=True):
        alone = naive(loaded, request.context, request.continuation)
        assert likelihood.total == pytest.approx(alone, rel=1e-5, abs=1e-4)


def test_items_longer_than_the_window_are_padded_and_the_log_counts_them(
    tiny: LoadedModel, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = a_model("sliding window", tiny.tokenizer)
    groups = [[Request([n] * length, [1])] for n, length in enumerate([10, 12, 31, 40, 30])]
    with caplog.at_level(logging.INFO, logger="forgetless"):
        together = put_together(loaded, groups, 32)
    assert together.batches == ((0, 1), (4,), (3, 2))  # 9 + 11 of 30 tokens; 29; padded
    (line,) = caplog.messages
    assert line.startswith("2 of 5 items are padded, not packed: they have more than 30 tokens")


def test_what_all_items_begin_with_goes_through_the_model_once(tiny: LoadedModel) -> None:
    """And last tokens never do."""
    groups = [
        [Request([*range(40), 100 + n, 150 + n], [letter]) for letter in range(65, 69)]
        for n in range(9)
    ]
    together = put_together(tiny, groups, 1)
    assert len(together.batches) == 2  # packs of 12 tokens
    assert list(together.trunk.ids) == list(range(40))
    lengths: list[int] = []
    hook = tiny.model.register_forward_pre_hook(
        lambda _, __, given: lengths.append(given["input_ids"].numel()), with_kwargs=True
    )
    try:
        in_passes(tiny, groups, 1)
    finally:
        hook.remove()
    assert sorted(lengths, reverse=True)[0] == 40
    assert sum(lengths) == 40 + 9 * 2


def test_a_branch_may_reach_the_end_of_the_context_though_the_tree_is_larger(
    tiny: LoadedModel,
) -> None:
    """The context of 64 is of a sequence; the tree has 63 + 3 times 20 tokens."""
    loaded = a_model("learned positions", tiny.tokenizer)
    draw = random.Random(0)
    context = [draw.randrange(256) for _ in range(42)]
    group = [Request(context, [draw.randrange(256) for _ in range(22)]) for _ in range(4)]
    assert len(grow(group).ids) == 42 + 4 * 21
    for request, likelihood in zip(group, log_likelihoods(loaded, group), strict=True):
        alone = naive(loaded, request.context, request.continuation)
        assert likelihood.total == pytest.approx(alone, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("skipped", [0, 1])
def test_batches_of_an_interrupted_task_are_scored_to_the_same_bits(
    skipped: int, taught: LoadedModel
) -> None:
    """The trunk is read again, and nothing else is different."""
    shot = exchange("s", "Which colour is it, number 100, of all the colours?", "green")
    task = choices(9, shots=(shot,), render="plain")
    whole = list(score_task(taught, task, 2))
    assert len(whole) > 2
    done = {result.item for result in whole[skipped]}
    again = list(score_task(taught, task, 2, done))
    assert again == [batch for number, batch in enumerate(whole) if number != skipped]


def test_likelihoods_in_bfloat16_are_near_those_in_float32(tiny_model: Path) -> None:
    loaded = fresh(tiny_model)
    groups = items(6, 25)
    exact = in_passes(loaded, groups, 2)
    loaded.model.to(torch.bfloat16)
    for place, total in in_passes(loaded, groups, 2).items():
        assert total == pytest.approx(exact[place], rel=0.01)


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

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return [1, *map(ord, text)]


def test_answer_is_tokenised_as_it_goes_on_from_the_prompt_and_not_as_a_text_of_its_own() -> None:
    row = exchange("a", "Say it:\n", "red")
    renderer = make_task("t", (), [row], render="plain").renderer(StartsEveryTextWithAMark())
    assert renderer.prompt_ids(row) == [1, *map(ord, "Say it:\n")]
    assert renderer.continuation_ids(row, "red") == list(map(ord, "red"))

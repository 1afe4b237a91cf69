"""Greedy answers are tested in ``evaluation``; here, what is drawn and where it ends."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from scipy import stats
from transformers import StoppingCriteriaList

from forgetless.models import continuing
from forgetless.models.continuing import _together, continued
from forgetless.models.generation import continuations
from tests.models.test_tree import ROTARY, build, gpt2
from tests.training.build import forward_passes, fresh, load


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    """A tiny model with opinions; do not change it."""
    model = fresh(tiny_model).model
    with torch.no_grad():
        model.model.norm.weight.mul_(5)
    return model


PROMPTS = [[65, 66, 67], [70], [80, 81, 82, 83, 84, 85], [65, 66, 67]]


def drawn(model: Any, prompts: list[list[int]], length: int = 6, **more: Any) -> list[list[int]]:
    options: dict[str, Any] = {"temperature": 1.0, "seed": 3, "stop_ids": []} | more
    return continuations(model, prompts, length, options.pop("stop_ids"), **options)


@pytest.mark.parametrize("temperature", [0.8, 1.0, 1.5])
def test_a_token_is_drawn_as_often_as_the_softmax_of_the_logits_over_the_temperature_says(
    temperature: float, model: Any
) -> None:
    prompt, count = [65, 66, 67], 4000
    found = drawn(model, [prompt] * count, 1, temperature=temperature)
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0, -1].double()

    def binned(counts: np.ndarray) -> np.ndarray:
        """In 20 bins of 13 tokens, and the favourite by itself."""
        bins = np.arange(len(logits)) % 20
        bins[int(logits.argmax())] = 20
        return np.bincount(bins, weights=counts)

    def expected(temperature: float) -> np.ndarray:
        return binned(count * torch.softmax(logits / temperature, -1).numpy())

    seen = binned(np.bincount([token for (token,) in found], minlength=len(logits)))
    assert stats.chisquare(seen, expected(temperature)).pvalue > 0.001
    assert stats.chisquare(seen, expected(temperature + 0.5)).pvalue < 1e-6


def test_later_tokens_follow_from_those_drawn_before(model: Any) -> None:
    """Given the noise, each token is the largest of logits plus noise after what was drawn."""
    prompt, length = [65, 66, 67], 5
    (found,) = drawn(model, [prompt], length)
    noise = torch.Generator().manual_seed(3)
    ids = list(prompt)
    for token in found:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        gumbel = -torch.empty(1, len(logits)).exponential_(generator=noise)[0].log()
        assert int((logits + gumbel).argmax()) == token
        ids.append(token)


def test_same_seed_draws_the_same_and_another_seed_something_else(model: Any) -> None:
    assert drawn(model, PROMPTS) == drawn(model, PROMPTS)
    assert drawn(model, PROMPTS) != drawn(model, PROMPTS, seed=4)
    first, *_, last = drawn(model, PROMPTS)
    assert first != last  # the same prompt twice is drawn from twice


def test_at_temperature_zero_and_near_it_the_likeliest_tokens_come(model: Any) -> None:
    greedy = drawn(model, PROMPTS, temperature=0)
    assert greedy == drawn(model, PROMPTS, temperature=0, seed=4)
    for temperature in (1e-4, 1e-40, 5e-324):  # what a float of 32 bits cannot be divided by
        assert greedy == drawn(model, PROMPTS, temperature=temperature)


def test_nothing_outside_notices_that_something_was_drawn(model: Any) -> None:
    state = torch.get_rng_state()
    drawn(model, PROMPTS)
    assert torch.get_rng_state().equal(state)


def test_a_continuation_ends_with_its_stop_token_and_without_one_at_the_limit(model: Any) -> None:
    free = drawn(model, PROMPTS, 12)
    assert [len(tokens) for tokens in free] == [12] * 4
    stop = free[1][4]
    stopped = drawn(model, PROMPTS, 12, stop_ids=[258, stop])
    for before, after in zip(free, stopped, strict=True):
        assert after == (before[: before.index(stop) + 1] if stop in before else before)


def test_generation_settings_of_the_model_folder_are_set_aside(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    own: dict[str, Any] = {"do_sample": True, "temperature": 9.0, "top_k": 1, "top_p": 0.01}
    own["suppress_tokens"] = list(range(200))
    (folder / "generation_config.json").write_text(json.dumps(own))
    spoiled, plain = load(folder).model, load(tiny_model).model
    assert drawn(spoiled, PROMPTS) == drawn(plain, PROMPTS)
    assert spoiled.generation_config.top_k == 1  # the model keeps them
    adapted = peft.get_peft_model(spoiled, peft.LoraConfig(target_modules="all-linear")).eval()
    assert drawn(adapted, PROMPTS) == drawn(plain, PROMPTS)


def by_transformers(model: Any, prompts: list[list[int]], length: int, stops: list[int]) -> Any:
    """The same through ``generate``, which any reason to stop asks for."""
    never = StoppingCriteriaList([lambda ids, _: torch.zeros(len(ids), dtype=torch.bool)])
    return continuations(model, prompts, length, stops, stopping=never)


def test_greedy_answers_are_those_of_transformers_whoever_ends_first(model: Any) -> None:
    """Prompts of several lengths, with and without a common beginning worth reading once."""
    beginning = list(range(100, 120))
    for prompts in (PROMPTS, [beginning + prompt for prompt in PROMPTS], PROMPTS[:1]):
        stops = sorted({by_transformers(model, prompts, 8, [])[0][2], 3})
        expected = by_transformers(model, prompts, 8, stops)
        assert continuations(model, prompts, 8, stops) == expected
    assert len({len(answer) for answer in expected}) == 1  # one prompt


def test_prompts_that_have_ended_are_let_go_and_a_common_beginning_is_read_once(
    model: Any,
) -> None:
    beginning = list(range(100, 120))
    prompts = [beginning + prompt for prompt in PROMPTS]
    free = continuations(model, prompts, 8, [])
    (stop,) = {free[0][0]}  # the first and the last prompt are alike and end at once
    left = sum(answer[0] != stop for answer in free)
    with forward_passes(model) as passed:
        continuations(model, prompts, 8, [stop])
    assert passed[:2] == [1, 1]  # the beginning; then the rest of all, as one tree
    assert passed[2] == left < len(prompts)


@pytest.mark.parametrize("most", [1, 4, 7])
def test_prompts_read_as_several_trees_are_continued_alike(
    most: int, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    beginning = list(range(100, 120))
    for prompts in (PROMPTS, [beginning + prompt for prompt in PROMPTS]):
        expected = by_transformers(model, prompts, 8, [])
        with forward_passes(model) as at_once:
            assert continuations(model, prompts, 8, []) == expected
        monkeypatch.setattr(continuing, "TOKENS_AT_A_TIME", {"cpu": most})
        with forward_passes(model) as passed:
            assert continuations(model, prompts, 8, []) == expected
        monkeypatch.undo()
        # [65, 66, 67] twice is one branch, and [70] is read with it where there is room.
        assert len(passed) - len(at_once) == {1: 2, 4: 1, 7: 1}[most]


def test_a_tree_has_no_more_tokens_than_it_may_but_for_a_prompt_that_is_longer() -> None:
    prompts = [[1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 6, 7, 8], [1, 9], [1, 2, 3, 4]]
    # Without the first token: 2 3 4 | 5 stand on 3 and 4 nodes, 6 7 8 would be the 5th to 7th.
    assert list(_together(prompts, [4, 3, 2, 1, 0], 1, 4)) == [[4, 0, 1], [2], [3]]
    assert list(_together(prompts, [4, 3, 2, 1, 0], 1, 7)) == [[4, 0, 1, 2], [3]]
    assert list(_together(prompts, [0, 1, 2, 3, 4], 1, 1)) == [[0, 4], [1], [2], [3]]


def test_behind_a_sliding_window_padding_within_prompts_takes_no_place() -> None:
    """Apart from transformers, the words of short prompts would push their beginning out of it."""
    model = build("Mistral", **ROTARY, sliding_window=24)
    beginning = list(range(100, 120))
    prompts = [beginning + prompt for prompt in ([65], [66, 67], list(range(70, 90)))]
    for prompt, found in zip(prompts, continuations(model, prompts, 8, []), strict=True):
        assert [found] == continuations(model, [prompt], 8, [])
        assert [found] == by_transformers(model, [prompt], 8, [])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_prompts_that_wait_for_room_are_continued_alike(model: Any, size: int) -> None:
    beginning = list(range(100, 120))
    for prompts in ([*PROMPTS, *PROMPTS[1:]], [beginning + prompt for prompt in PROMPTS]):
        stops = [continuations(model, prompts, 8, [])[0][2]]
        expected = by_transformers(model, prompts, 8, stops)
        assert continuations(model, prompts, 8, stops, size=size) == expected
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("forgetless.models.generation.obstacle", lambda _: "none of ours")
            assert continuations(model, prompts, 8, stops, size=size) == expected


def test_those_that_wait_come_when_others_have_ended(model: Any) -> None:
    """Two at a time: the third prompt is read while the one that has not ended goes on."""
    prompts = [[65, 66, 67], [65, 66, 67], [70, 71]]
    free = continuations(model, prompts, 8, [])
    assert free[0][0] not in free[2]
    with forward_passes(model) as passed:
        found = continuations(model, prompts, 8, [free[0][0]], size=2)
    assert [len(answer) for answer in found] == [1, 1, 8]
    assert passed == [1] + [1] * 8  # two end at once; then the third, alone


def test_prompts_that_have_ended_are_let_go_before_they_leave_the_context() -> None:
    """The first comes to its end with the context of 64, and others are under way until then."""
    model, said = gpt2(), Counter[int]()

    def chosen(indices: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
        said.update(indices)
        stops = torch.tensor([index > 0 and said[index] == 10 for index in indices])
        return torch.nn.functional.one_hot(torch.where(stops, 0, 5), logits.shape[-1])

    prompts = [[7] * 48, *([8] * (4 + number % 5) for number in range(23))]
    found = continued(model, prompts, 16, [0], chosen, 8)
    assert [len(tokens) for tokens in found] == [16] + [10] * 23

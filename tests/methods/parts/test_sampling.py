from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forgetless.methods.parts import sampling
from forgetless.methods.parts.sampling import Written, sample
from forgetless.methods.stage import Workbench
from forgetless.models.generation import continuations
from forgetless.tasks.examples import Examples, Origin
from forgetless.tasks.render import Encoded
from tests.training.build import colour_task, fresh, one_stage_a_task, settings, workbench


@pytest.fixture
def bench(tiny_model: Path) -> Workbench:
    return bench_of(tiny_model)


def bench_of(model: Path, **config: Any) -> Workbench:
    return workbench(fresh(model), one_stage_a_task([colour_task("a")])[0], settings(**config))


PROMPTS = [[65, 66], [67], [68, 69, 70, 71, 72], [73, 74]]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_likeliest_continuations_are_in_the_order_of_the_prompts_however_batched(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = sample(bench, PROMPTS, 6, [256], 0, rng())
    alone = [continuations(bench.model, [prompt], 6, [256])[0] for prompt in PROMPTS]
    assert at_once == alone
    sizes: list[int] = []

    def counted(model: Any, prompts: Any, *args: Any, **more: Any) -> list[list[int]]:
        sizes.append(len(prompts))
        assert (max(map(len, prompts)) + 6) * len(prompts) <= 20 or len(prompts) == 1
        return continuations(model, prompts, *args, **more)

    monkeypatch.setattr(sampling, "continuations", counted)
    monkeypatch.setattr(sampling, "TOKENS_AT_ONCE", 20)
    assert sample(bench, PROMPTS, 6, [256], 0, rng()) == alone
    assert sizes == [1, 2, 1]


def test_batches_draw_with_seeds_of_their_own_and_the_same_again(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "TOKENS_AT_ONCE", 1)
    first, second = sample(bench, [[65], [65]], 8, [], 1.0, rng())
    assert first != second
    assert sample(bench, [[65], [65]], 8, [], 1.0, rng()) == [first, second]
    assert sample(bench, [[65], [65]], 8, [], 1.0, rng(1)) != [first, second]


def test_prompt_and_continuation_stay_within_the_longest_row(tiny_model: Path) -> None:
    bench = bench_of(tiny_model, max_length=8)
    prompts = [[65] * 3, [65] * 7, [65] * 8, [65] * 9, []]
    found = sample(bench, prompts, 100, [], 1.0, rng())
    assert [len(tokens) for tokens in found] == [5, 1, 0, 0, 0]
    assert sample(bench, [], 100, [], 1.0, rng()) == []


def test_model_writes_without_dropout_and_keeps_its_mode(bench: Workbench) -> None:
    seen: list[bool] = []
    bench.model.register_forward_pre_hook(lambda module, _: seen.append(module.training))
    bench.model.train()
    sample(bench, PROMPTS, 2, [], 1.0, rng())
    assert not any(seen)
    assert bench.model.training


def test_what_was_written_survives_saving_to_the_bit() -> None:
    examples = Examples.of(
        [Encoded([5, 6, 7], [False, True, True]), Encoded([8, 9], [False, True])],
        [Origin("a", "1"), Origin("b", "2")],
    )
    written = Written(3, examples)
    again = Written.restored(written.tensors(), written.values())
    assert again is not None
    assert again.stage == 3
    assert again.examples.origins == examples.origins
    for name in ("ids", "learned", "offsets"):
        ours, theirs = getattr(again.examples, name), getattr(examples, name)
        assert ours.dtype == theirs.dtype
        assert ours.tolist() == theirs.tolist()
    assert Written.restored({}, {"kept": []}) is None
    assert torch.equal(written.tensors()["ids"], torch.tensor([5, 6, 7, 8, 9], dtype=torch.int32))

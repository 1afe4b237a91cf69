"""Which models can be given a tree, and that those say the same of it as of its branches."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers

from forgetless.models import tree
from forgetless.models.forward import accepts, logits_at
from forgetless.models.reach import ENDLESS
from forgetless.models.tree import Trunk, obstacle, span, tree_logits
from tests.training.build import fresh

VOCABULARY = 261
SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": 0.3,
}
ROTARY = SMALL | {"num_key_value_heads": 1, "intermediate_size": 64}
ENDS = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1}


def build(family: str, **config: Any) -> Any:
    """A tiny model of an architecture of transformers, with random weights."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        attention = config.pop("attention", None)
        made = getattr(transformers, f"{family}Config")(**ENDS | config)
        more = {"attn_implementation": attention} if attention else {}
        return transformers.AutoModelForCausalLM.from_config(made, **more).eval()


def gpt2(**more: Any) -> Any:
    return build(
        "GPT2", vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=2, n_positions=64,
        initializer_range=0.3, **more,
    )  # fmt: skip


def adapted() -> Any:
    torch.manual_seed(0)
    config = peft.LoraConfig(target_modules="all-linear", init_lora_weights=False)
    return peft.get_peft_model(build("Llama", **ROTARY), config).eval()


def halved() -> Any:
    return build("Llama", **ROTARY | {"initializer_range": 0.1}).to(torch.bfloat16)


TAKES: dict[str, Callable[[], Any]] = {
    "Llama": lambda: build("Llama", **ROTARY),
    "Llama, eager attention": lambda: build("Llama", **ROTARY, attention="eager"),
    "Llama in bfloat16": halved,
    "with an adapter": adapted,
    "GPT-2": gpt2,
    "sliding window": lambda: build("Mistral", **ROTARY, sliding_window=64),
    "two kinds of layers": lambda: build(
        "Gemma2", **ROTARY, head_dim=16, sliding_window=64, attention="eager"
    ),
    "GPT-NeoX": lambda: build("GPTNeoX", **SMALL, intermediate_size=64),
}
REFUSES: dict[str, tuple[Callable[[], Any], str]] = {
    "recurrent": (
        lambda: build(
            "Mamba", vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2,
            initializer_range=0.3,
        ),
        "the model takes no position of a token",
    ),
    "ALiBi": (
        lambda: build(
            "Bloom", vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=2,
            initializer_range=0.3,
        ),
        "the model takes no position of a token",
    ),
    "window shorter than the tree": (
        lambda: build("Mistral", **ROTARY, sliding_window=4),
        "a tree is read otherwise than its branches",
    ),
    "recurrent in part": (
        lambda: build(
            "RecurrentGemma", **ROTARY, lru_width=32, attention_window_size=64, head_dim=16,
            block_types=["recurrent", "attention"],
        ),
        "a tree is read otherwise than its branches|Error",
    ),
}  # fmt: skip


class Blind(torch.nn.Module):
    """A model that takes a mask and positions and looks at neither."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.config, self.dtype = inner.config, inner.dtype
        self.get_input_embeddings = inner.get_input_embeddings
        self.get_output_embeddings = inner.get_output_embeddings

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        position_ids: Any = None,
        past_key_values: Any = None,
        use_cache: bool = False,
    ) -> Any:
        name = "cache" if "cache" in accepts(self.inner) else "past_key_values"
        return self.inner(input_ids, use_cache=use_cache, **{name: past_key_values})


def fork() -> tuple[list[list[int]], list[int], list[int], list[int]]:
    """Two sequences with 5 tokens in common, and their tree: ids, ends and depths."""
    stem, one, other = [3, 14, 15, 92, 65], [35, 89, 79], [32, 38, 46, 26]
    ends = [12] * 5 + [8] * 3 + [12] * 4
    return [stem + one, stem + other], stem + one + other, ends, [*range(8), *range(5, 9)]


def of_branches(model: Any) -> torch.Tensor:
    """Logits at the nodes of the fork, each sequence by itself and whole."""
    with torch.no_grad():
        one, other = (model(torch.tensor([sequence])).logits[0] for sequence in fork()[0])
    return torch.cat([one, other[5:]]).float()


@pytest.mark.parametrize("name", TAKES)
def test_tree_says_what_its_branches_say(name: str) -> None:
    model = TAKES[name]()
    assert obstacle(model) is None
    _, ids, ends, depths = fork()
    expected = of_branches(model)
    tolerance = 0.2 if model.dtype == torch.bfloat16 else 1e-4
    trunk = Trunk(tuple(ids[:3]))
    with torch.inference_mode():
        whole = tree_logits(model, ids, ends, depths, range(12), Trunk())
        torch.testing.assert_close(whole.float(), expected, rtol=0, atol=tolerance)
        for _ in range(2):  # the trunk is read once and serves again
            rest = tree_logits(
                model, ids[3:], [end - 3 for end in ends[3:]], depths[3:], [0, 4, 8], trunk
            )
            torch.testing.assert_close(rest.float(), expected[[3, 7, 11]], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", REFUSES)
def test_model_that_cannot_be_told_who_sees_whom_is_found_out(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    make, reason = REFUSES[name]
    model = make()
    with caplog.at_level(logging.INFO, logger="forgetless"):
        found = obstacle(model)
        assert obstacle(model) == found
    assert found is not None
    assert any(part in found for part in reason.split("|")), found
    assert caplog.messages == [f"sequences are padded, not packed as a tree: {found}"]  # once


def test_model_that_ignores_its_mask_is_found_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="forgetless"):
        assert obstacle(Blind(build("Llama", **ROTARY))) is not None
    (line,) = caplog.messages
    assert line.startswith(
        "sequences are padded, not packed as a tree: a tree is read otherwise than its branches"
    )


def test_attention_that_takes_no_mask_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU the attempt alone could end the process."""
    model = build("Llama", **ROTARY)
    model.config._attn_implementation = "flash_attention_2"
    monkeypatch.setattr(tree, "_probe", lambda _: pytest.fail("tried"))
    assert obstacle(model) == "flash_attention_2 takes no mask of its own for each token"


def test_a_model_is_tried_once_and_again_when_its_dtype_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, tried = build("Llama", **ROTARY), []

    def probe(model: Any) -> tuple[float, float]:
        tried.append(model.dtype)
        return 0.0, 1.0

    monkeypatch.setattr(tree, "_probe", probe)
    for dtype in (torch.float32, torch.float32, torch.bfloat16, torch.float32):
        assert obstacle(model.to(dtype)) is None
    assert tried == [torch.float32, torch.bfloat16]


def test_trying_leaves_the_model_and_the_generator_as_they_were(tiny_model: Path) -> None:
    model = fresh(tiny_model).model
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    assert obstacle(model) is None
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (lambda: build("Llama", **ROTARY), ENDLESS),
        (lambda: build("Mistral", **ROTARY, sliding_window=8), 8),
        (lambda: build("Mistral", **ROTARY, sliding_window=None), ENDLESS),
        (lambda: build("Qwen2", **ROTARY, max_window_layers=2), ENDLESS),
        (
            lambda: build(
                "GPTNeo", vocab_size=VOCABULARY, hidden_size=32, num_layers=2, num_heads=2,
                attention_types=[[["global", "local"], 1]], window_size=16,
                max_position_embeddings=64,
            ),
            16,
        ),
        (
            lambda: build(
                "Llama", **ROTARY, max_position_embeddings=48,
                rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
            ),
            48,
        ),
    ],
    ids=["endless", "window", "no window", "number of layers", "local layers", "angles by length"],
)  # fmt: skip
def test_span_is_as_far_as_every_layer_looks_by_itself(
    model: Callable[[], Any], expected: int
) -> None:
    assert span(model()) == expected


def test_head_is_left_out_where_no_logit_is_wanted(tiny_model: Path) -> None:
    model = fresh(tiny_model).model
    seen: list[tuple[int, ...]] = []
    model.lm_head.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape)))
    _, ids, ends, depths = fork()
    tree_logits(model, ids, ends, depths, [4, 7], Trunk())
    assert seen == [(1, 2, VOCABULARY)]


def test_mask_and_cache_are_used_in_the_pass_that_training_shares(tiny_model: Path) -> None:
    """Without either, a pass is what it was."""
    model = fresh(tiny_model).model
    ids = torch.tensor([[5, 6, 7, 8]])
    positions = torch.arange(4)[None]
    with torch.no_grad():
        plain = logits_at(model, ids, torch.ones_like(ids), positions, torch.tensor([3]))
        torch.testing.assert_close(plain[0, 0], model(ids).logits[0, 3], rtol=1e-4, atol=1e-5)

"""A base model kept in 4 or 8 bits: what is refused, and what comes of training adapters on it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import peft
import pytest
import torch

import forgetless
from forgetless.comparing.compare import compare
from forgetless.errors import ModelError, PlanError, UsageError
from forgetless.methods import METHODS
from forgetless.methods.compose import Compose
from forgetless.methods.lora import LoRA
from forgetless.models.forward import evaluation_mode
from forgetless.models.load import load_model, model_skeleton
from forgetless.models.quantized import weight_bytes
from forgetless.models.tree import obstacle
from forgetless.plan import ModelConfig, make_plan
from tests.integration.conftest import data, settings
from tests.training.build import (
    colour_task,
    differing,
    load,
    one_stage_a_task,
    train,
    weights,
)
from tests.training.build import settings as training

__all__ = ["data"]  # a fixture

Width = Literal["4bit", "8bit"]
WIDTHS: tuple[Width, ...] = ("4bit", "8bit")
needs_bitsandbytes = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="needs the extra [quantized], bitsandbytes"
)
quiet_8bit = pytest.mark.filterwarnings("ignore")  # bitsandbytes tells how it casts, every time


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forgetless.models.quantized.find_spec", lambda name: name)


def quantized(data: Path, output: Path, methods: Any, width: Width = "4bit") -> dict[str, Any]:
    """The small plan on a quantised model."""
    plan = settings(data, output, methods=methods)
    return plan | {"model": {"name": plan["model"], "quantization": width}}


# Refused before anything is loaded


def refused(plan: dict[str, Any], kind: type[UsageError], match: str) -> UsageError:
    """What is said of a plan, which leaves no folder behind."""
    with pytest.raises(kind, match=match) as caught:
        forgetless.run(**plan)
    assert not Path(plan["output"]).exists()
    return caught.value


def test_without_bitsandbytes_the_extra_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forgetless.models.quantized.find_spec", lambda _: None)
    plan = quantized(data, tmp_path / "run", ["lora"])
    error = refused(plan, ModelError, "4bit, which needs the package bitsandbytes")
    assert error.fix == "pip install 'forgetless[quantized]'"


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("methods", [[], ["ewc"], ["osf"], ["joint"]])
def test_what_trains_the_weights_themselves_is_refused(
    methods: list[str], data: Path, tmp_path: Path
) -> None:
    plan = quantized(data, tmp_path / "run", methods)
    error = refused(plan, PlanError, "such weights cannot be trained")
    assert error.fix == f"train an adapter on them:  methods: [{', '.join(['lora', *methods])}]"


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize(
    ("methods", "width", "reason"),
    [
        (["lora", "ewc"], "4bit", "ewc cannot work .* gradient of every weight"),
        ([{"lora": {"init": "pissa"}}], "8bit", "init pissa works out its start"),
        ([{"lora": {"init": "mica"}}], "4bit", "init mica works out its start"),
        ([{"lora": {"dora": True}}], "8bit", "dora needs the length of each row"),
    ],
)
def test_what_needs_the_weights_as_they_are_is_refused(
    methods: list[Any], width: Width, reason: str, data: Path, tmp_path: Path
) -> None:
    refused(quantized(data, tmp_path / "run", methods, width), PlanError, reason)


@pytest.mark.usefixtures("_installed")
def test_adapter_is_not_merged_into_quantised_weights(data: Path, tmp_path: Path) -> None:
    adapter = peft.get_peft_model(
        load(data / "model").model, peft.LoraConfig(target_modules="all-linear")
    )
    adapter.save_pretrained(str(tmp_path / "adapter"))
    plan = quantized(data, tmp_path / "run", ["lora"])
    plan["model"]["name"] = str(tmp_path / "adapter")
    refused(plan, ModelError, "is an adapter, and quantised weights cannot take it in")


def test_a_comparison_trains_whole_models_and_is_refused(data: Path, tmp_path: Path) -> None:
    plan = make_plan(quantized(data, tmp_path / "run", ["lora"]))
    with pytest.raises(UsageError, match="compare trains the model itself"):
        compare(plan)


# Memory


def test_memory_of_the_weights_is_counted_by_layer(tiny_model: Path) -> None:
    """Two layers of a Llama: projections of 64x64, 64x32 twice, 64x64, and 64x128 three times."""
    packed = 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128)
    skeleton = model_skeleton(ModelConfig(name=str(tiny_model)))
    rest = sum(parameter.numel() for parameter in skeleton.parameters()) - packed
    for width, bytes_each in zip(WIDTHS, (0.5, 1.0), strict=True):
        config = ModelConfig(name=str(tiny_model), quantization=width)
        assert weight_bytes(skeleton, config) == 4 * rest + bytes_each * packed
    half = ModelConfig(name=str(tiny_model), dtype="bfloat16")
    assert weight_bytes(skeleton, half) == 2 * (rest + packed)


# Trained


@needs_bitsandbytes
@quiet_8bit
@pytest.mark.parametrize(("width", "most"), [("4bit", 0.15), ("8bit", 0.02)])
def test_quantised_weights_take_less_memory_and_say_nearly_the_same(
    width: Width, most: float, tiny_model: Path
) -> None:
    exact, packed = load(tiny_model).model, load(tiny_model, quantization=width).model
    assert packed.get_memory_footprint() < 0.4 * exact.get_memory_footprint()
    ids = torch.arange(40)[None]
    with torch.no_grad():
        expected, found = exact(ids).logits, packed(ids).logits
    error = (found - expected).std() / expected.std()
    assert 0 < error < most


@needs_bitsandbytes
@quiet_8bit
@pytest.mark.parametrize("width", WIDTHS)
def test_items_are_packed_as_trees_on_quantised_weights_too(width: Width, tiny_model: Path) -> None:
    assert obstacle(load(tiny_model, quantization=width).model) is None


@needs_bitsandbytes
@quiet_8bit
@pytest.mark.parametrize("width", WIDTHS)
def test_recomputing_activations_changes_no_bit_of_an_adapter(
    width: Width, tiny_model: Path, tmp_path: Path
) -> None:
    (stage,) = one_stage_a_task([colour_task("a")])
    plain, saving = (
        train(
            load(tiny_model, quantization=width),
            stage,
            training(gradient_checkpointing=on),
            tmp_path / str(on),
            Compose([LoRA(rank=4)]),
        ).model
        for on in (False, True)
    )
    trained = [
        {name: value for name, value in weights(model).items() if "lora_" in name}
        for model in (plain, saving)
    ]
    assert len(trained[0]) == 2 * 14
    assert all(value.any() for value in trained[0].values())
    assert differing(*trained) == []


@needs_bitsandbytes
@quiet_8bit
@pytest.mark.parametrize(
    ("width", "methods"),
    [
        ("4bit", ["lora", "kl", {"replay": {"ratio": 0.2}}, {"merge": {"alpha": 0.5}}]),
        ("8bit", [{"lora": {"init": "eva", "rank": 4}}, "l2sp"]),
        ("4bit", [{"lora": {"dora": True}}]),
        ("8bit", ["olora"]),
    ],
)
def test_a_run_on_quantised_weights_goes_from_stage_to_stage(
    width: Width, methods: list[Any], data: Path, tmp_path: Path
) -> None:
    """What a stage saves is an adapter that plain peft puts on the model in full precision."""
    result = forgetless.run(**quantized(data, tmp_path / "run", methods, width))
    assert result.results.state == "finished"
    assert result.results.scores[-1]
    config = peft.PeftConfig.from_pretrained(str(result.model_path()))
    assert config.base_model_name_or_path == str(data / "model")
    before, after = (
        load_model(
            ModelConfig(name=str(data / "model"), quantization=width), stage=result.path / stage
        )
        for stage in ("stages/1-first", "stages/2-second")
    )
    assert differing(weights(before.model), weights(after.model)) != []


@needs_bitsandbytes
@quiet_8bit
@pytest.mark.parametrize("width", WIDTHS)
def test_an_adapter_learns_on_quantised_weights_as_on_exact_ones(
    width: Width, tiny_model: Path, tmp_path: Path
) -> None:
    (stage,) = one_stage_a_task([colour_task("a")])
    exact, packed = (
        train(
            load(tiny_model, quantization=chosen),
            stage,
            training(steps=12, learning_rate=1e-2),
            tmp_path / str(chosen),
            Compose([LoRA()]),
        ).losses
        for chosen in (None, width)
    )
    assert packed != exact
    assert packed == pytest.approx(exact, rel=0.03)
    assert packed[-1] < 0.95 * packed[0]


def test_no_layer_is_laid_out_for_answers_alone_while_it_is_only_asked() -> None:
    """The layers of 4 bits have this mark; on a processor that has the instructions it is true."""
    mark = "support_avx512bf16_for_cpu"
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    vars(model[0])[mark] = True
    with evaluation_mode(model):
        assert [vars(layer).get(mark) for layer in model] == [False, None]


def test_every_method_that_adapts_by_an_adapter_says_so() -> None:
    """A plan on quantised weights is let through by this mark alone."""
    assert {name for name, method in METHODS.items() if method.puts_adapter_on} == {"lora", "olora"}

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless import run
from forgetless.errors import PlanError
from forgetless.methods import EWC, METHODS, base
from forgetless.methods.base import State
from forgetless.methods.compose import Compose, save_states
from forgetless.plan import MethodSpec
from tests.methods.probes import Recorder
from tests.tiny import colours, write_rows


def specs(*names: str) -> list[MethodSpec]:
    return [MethodSpec(name=name) for name in names]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("replay", "joint"),
            "joint and replay cannot be combined: joint training already has every old row",
        ),
        (("joint", "sequential"), "joint and sequential cannot be combined: one bound at a time"),
        (("replay", "lora", "replay"), "replay is named twice"),
    ],
)
def test_what_cannot_work_together_is_refused(names: tuple[str, ...], message: str) -> None:
    for order in (names, names[::-1]):
        with pytest.raises(PlanError, match=message):
            Compose.from_plan(specs(*order))


def test_refusal_names_what_to_remove() -> None:
    with pytest.raises(PlanError) as caught:
        Compose.from_plan(specs("replay", "lora", "joint"))
    assert caught.value.fix == "leave joint or replay out"


def test_refused_combination_is_refused_before_model_and_data_are_looked_for() -> None:
    with pytest.raises(PlanError, match="joint and replay"):
        run(model="/nowhere", sequence=["/nowhere.jsonl"], methods=["joint", "replay"])


def test_plan_is_checked_without_loading_torch() -> None:
    import subprocess

    code = (
        "import sys; from forgetless.methods.compose import Compose;"
        "from forgetless.plan import MethodSpec as M;"
        "[Compose.from_plan([M(name=name) for name in names])"
        f" for names in {[[name, *METHODS[name].requires] for name in METHODS]}];"
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("name", "fix"),
    [("repaly", "did you mean 'replay'?"), ("dropout", f"there are {', '.join(METHODS)}")],
)
def test_unknown_method_is_refused_with_the_nearest_or_all(
    name: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forgetless.methods.METHODS", METHODS)
    with pytest.raises(PlanError) as caught:
        Compose.from_plan(specs(name))
    assert caught.value.message == f"methods: there is no method {name!r}"
    assert caught.value.fix == fix


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("replay", {"ratio": 1}, "replay.ratio: found 1: input should be less than 1"),
        ("replay", {"ratio": "much"}, "replay.ratio: found 'much': input should be a valid number"),
        ("replay", {"buffer": "best"}, "replay.buffer: found 'best': input should be 'all', "),
        ("replay", {"size": 0}, "replay.size: found 0: input should be greater than or equal to 1"),
        ("lora", {"rank": 0}, "lora.rank: found 0: input should be greater than or equal to 1"),
    ],
)
def test_option_of_a_wrong_value_is_refused_with_what_was_found(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(PlanError) as caught:
        Compose.from_plan([MethodSpec(name=name, options=options)])
    assert caught.value.message.startswith(f"methods: {message}")


def test_label_names_the_methods_in_one_order_and_plain_training_sequential() -> None:
    assert Compose.from_plan(specs("lora", "replay")).label == "replay + lora"
    assert (
        Compose.from_plan([]).label == Compose.from_plan(specs("sequential")).label == "sequential"
    )


def test_phases_run_in_the_documented_order_in_every_stage_for_every_method(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Second(Recorder):
        name = "second"

    recorder, second = Recorder(), Second()
    monkeypatch.setattr(Compose, "from_plan", lambda _: Compose([recorder, second]))
    files = [write_rows(tmp_path / f"{n}.jsonl", colours(n)) for n in range(2)]
    tested = str(write_rows(tmp_path / "tested.jsonl", colours(2, 1)))
    run(
        model=str(tiny_model),
        sequence=[{"train": str(f), "test": tested, "max_new_tokens": 1} for f in files],
        training={"steps": 2, "batch_size": 2, "accumulation": 2, "device": "cpu"},
        output=str(tmp_path / "run"),
    )
    step = [
        *("WeighsTokens", "AddsLoss") * 2,  # one for each forward pass
        *("ChangesGradient", "PullsWeights"),
        *("ChangesUpdate", "ChangesUpdate"),  # before and after the weights move
    ]
    stage = ["AdaptsModel", "MixesData", "LooksAhead", *step, *step]
    stage += ["SettlesModel", "KeepsRows"]
    learn = ["LearnsAtEnd"]  # what a next stage needs; after the last there is none
    assert recorder.calls == ["PlansStages", *stage, *learn, *stage]
    assert second.calls == recorder.calls

    table = (base.__doc__ or "").split("=================")
    documented = [word.split("`")[1] for word in "".join(table).split(":class:")[2:]]
    assert documented == list(dict.fromkeys(recorder.calls))


def test_terms_and_squared_pulls_of_methods_add_up_and_their_weights_multiply() -> None:
    class Gives(Recorder):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.name = f"gives {value:g}"  # type: ignore[misc]
            self.value = torch.tensor([value])

        def weigh(self, batch: Any) -> torch.Tensor:
            return self.value

        def loss(self, model: Any, batch: Any) -> torch.Tensor:
            return self.value

        def pull(self, model: Any) -> float:
            return self.value.item()

    methods, nothing = Compose([Gives(n) for n in (2, 3, 5)]), Compose()
    batch: Any = None
    assert methods.loss(None, batch) == 10
    assert methods.weigh(batch) == 30
    assert methods.pull(None) == pytest.approx(10**0.5)
    assert (nothing.loss(None, batch), nothing.weigh(batch), nothing.pull(None)) == (None, None, 0)


def test_rehearsal_that_leaves_no_room_is_refused_before_anything_is_loaded() -> None:
    specs_ = [
        MethodSpec(name="replay", options={"ratio": 0.6}),
        MethodSpec(name="self_replay", options={"ratio": 0.4}),
    ]
    with pytest.raises(PlanError, match="the ratios of rehearsal add up to 1 and leave no room"):
        Compose.from_plan(specs_)
    assert len(Compose.from_plan([specs_[0]]).methods) == 1


def test_message_of_a_bad_combination_of_options_is_ours_alone() -> None:
    with pytest.raises(PlanError) as caught:
        Compose.from_plan([MethodSpec(name="lora", options={"init": "corda"})])
    assert caught.value.message.startswith("methods: lora: init corda and calibration")


def test_restored_tensors_begin_in_memory_where_new_ones_do(tmp_path: Path) -> None:
    """By where its factors begin a matrix product is rounded; in a file they begin anywhere."""
    kept = {f"importance/{size}": torch.ones(size) for size in (1, 3, 5)}
    save_states(tmp_path / "state", {"ewc": State(kept)})
    ewc = EWC()
    Compose([ewc]).restore(tmp_path / "state")
    assert [tensor.data_ptr() % 64 for tensor in ewc.state().tensors.values()] == [0, 0, 0]

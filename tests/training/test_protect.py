"""Methods in someone's own trainer: stock transformers.Trainer and TRL's SFTTrainer."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import peft
import pytest
import torch
from transformers import DataCollatorForLanguageModeling, Trainer, default_data_collator

import forgetless
from forgetless.errors import ModelError, PlanError, UsageError
from forgetless.methods import (
    EMA,
    EWC,
    KL,
    L2SP,
    METHODS,
    OGD,
    OSF,
    SFA,
    SI,
    Freeze,
    Joint,
    LoRA,
    Replay,
    SelfReplay,
    Sequential,
)
from forgetless.methods.base import Method
from forgetless.methods.compose import Compose
from forgetless.models.padding import looks_past_padding
from forgetless.training.obstacles import refuse_what_cannot_work
from forgetless.training.others_mixture import MixedRows, draw
from forgetless.training.protect import protect
from forgetless.training.protection import Protection
from tests.methods.probes import Anchor, Calm, NoConfig, Project, Slow
from tests.methods.test_contract import CASES
from tests.models.test_padding import bart
from tests.tiny import build_tokenizer
from tests.training.build import differing, distance, fresh, keep_tables, weights
from tests.training.trainers import (
    StopAt,
    losses,
    made,
    state_of,
    stock,
    texts,
    tokenised,
)

both = pytest.mark.parametrize("kind", ["transformers", "trl"])

BY_TRL = ("replay", "ewc", "kl")  # rows, weights and logits; the other methods in the slow tests

# AdamW turns the rounding of tiny gradients into steps; so for comparisons:
PLAIN_STEPS: dict[str, Any] = {"optim": "sgd", "learning_rate": 0.05}
CHECKPOINTED: dict[str, Any] = {"save_strategy": "steps", "save_steps": 1}


def all_phases() -> list[Method[Any]]:
    """One method for every phase in which a trainer is changed."""
    return [
        Replay(ratio=0.3),
        Calm(strength=0.01),
        Project(strength=1.0),
        Anchor(strength=0.5),
        Slow(strength=0.3),
    ]


def two_stages(
    kind: str, tiny_model: Path, folder: Path, methods: list[Method[Any]], **changes: Any
) -> Any:
    """The trainer of the second stage, trained."""
    first = protect(made(kind, tiny_model, folder / "1", **changes), methods)
    first.train()
    protection = first.protection
    protection.end_stage()
    changes = {k: v for k, v in changes.items() if k != "peft_config"} | {"model": first.model}
    second = made(kind, tiny_model, folder / "2", offset=1, **changes)
    protect(second, protection)
    second.train()
    return second


def test_protect_is_public() -> None:
    assert forgetless.protect is protect
    assert forgetless.Protection is Protection


@both
def test_trainer_comes_back_itself_and_keeps_its_class_name(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made(kind, tiny_model, tmp_path)
    was = type(trainer)
    assert protect(trainer, [Sequential()]) is trainer
    assert isinstance(trainer, was)
    assert type(trainer).__name__ == was.__name__


@both
@pytest.mark.parametrize(
    "methods", [[], [Replay(ratio=0)], [Anchor(strength=0), Project(strength=0)]], ids=len
)
def test_methods_at_strength_zero_leave_every_bit_as_it_was(
    kind: str, methods: list[Method[Any]], tiny_model: Path, tmp_path: Path
) -> None:
    plain = made(kind, tiny_model, tmp_path / "plain")
    plain.train()
    guarded = protect(made(kind, tiny_model, tmp_path / "guarded"), methods)
    guarded.train()
    assert losses(guarded) == losses(plain)
    assert differing(state_of(guarded), state_of(plain)) == []


@pytest.mark.parametrize("methods", [[], [Replay(ratio=0)]], ids=len)
def test_random_numbers_of_a_collator_and_of_rows_are_those_of_the_plain_training(
    methods: list[Method[Any]], tmp_path: Path
) -> None:
    """Where padding is read, and where methods look at rows, the first rows are tried."""

    class Rows(list[Any]):
        def __getitem__(self, index: Any) -> Any:
            random.random()
            np.random.rand()
            return super().__getitem__(index)

    def drawn(protected: bool) -> list[Any]:
        found: list[Any] = []
        trainer: Any = stock(tmp_path, bart(), build_tokenizer(), max_steps=2)
        trainer.train_dataset = Rows(trainer.train_dataset)
        plain = trainer.data_collator

        def collate(rows: Any) -> Any:
            found.append((torch.rand(1).item(), random.random(), np.random.rand()))
            return plain(rows)

        trainer.data_collator = collate
        if protected:
            protect(trainer, methods)
        trainer.train()
        return found[-2:]

    assert drawn(protected=True) == drawn(protected=False)


@pytest.mark.parametrize("method", [L2SP, EWC, Replay])
def test_a_model_that_keeps_what_it_made_once_is_trained_after_it_was_tried_out(
    method: type[Method[Any]], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_tables(monkeypatch)
    trainer = made("transformers", tiny_model, tmp_path)
    protect(trainer, [method()]).train()
    assert trainer.state.global_step == 6


@both
@pytest.mark.parametrize("changes", [{}, {"gradient_accumulation_steps": 2}], ids=["", "parts"])
def test_own_loss_is_the_trainers_loss_step_by_step(
    kind: str, changes: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    """A method that looks at logits has the loss computed by us, once, and not twice."""
    changes = changes | PLAIN_STEPS
    plain = made(kind, tiny_model, tmp_path / "plain", **changes)
    plain.train()
    ours = protect(made(kind, tiny_model, tmp_path / "ours", **changes), [Calm(strength=0)])
    ours.train()
    assert losses(ours) == pytest.approx(losses(plain), rel=1e-4)
    start = weights(fresh(tiny_model).model)
    way = distance(state_of(plain), start)
    assert distance(state_of(ours), state_of(plain)) < 0.01 * way


@both
def test_one_batch_of_8_and_2_of_4_give_the_same_weights(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    methods = [m for m in all_phases() if m.name != "replay"]  # places of rows would differ
    sizes = {"one": (8, 1), "parts": (4, 2)}
    found = {
        name: state_of(
            two_stages(
                *(kind, tiny_model, tmp_path / name),
                [type(m)(m.config) for m in methods],
                per_device_train_batch_size=size,
                gradient_accumulation_steps=parts,
                max_steps=3,
                **PLAIN_STEPS,
            )
        )
        for name, (size, parts) in sizes.items()
    }
    start = weights(fresh(tiny_model).model)
    assert distance(found["one"], found["parts"]) < 0.01 * distance(found["one"], start)


@both
@pytest.mark.parametrize("place", range(5), ids=[method.name for method in all_phases()])
def test_every_phase_changes_the_second_stage(
    kind: str, place: int, tiny_model: Path, tmp_path: Path
) -> None:
    """Against plain training from the very weights that the protected first stage left."""
    method = all_phases()[place]
    first = protect(made(kind, tiny_model, tmp_path / "1"), [method])
    first.train()
    first.protection.end_stage()
    start = copy.deepcopy(first.model)
    second = made(kind, tiny_model, tmp_path / "2", offset=1, model=first.model)
    protect(second, first.protection).train()
    plain = made(kind, tiny_model, tmp_path / "plain", offset=1, model=start)
    plain.train()
    assert differing(state_of(second), state_of(plain))
    assert all(value.isfinite().all() for value in state_of(second).values())


@both
@pytest.mark.parametrize("max_grad_norm", [-1.0, 0.0, 1e-3])
def test_gradient_is_changed_and_pulled_with_and_without_clipping(
    kind: str, max_grad_norm: float, tiny_model: Path, tmp_path: Path
) -> None:
    seen: list[str] = []

    class Watch(Method[NoConfig]):
        name = "watch"
        Config = NoConfig

        def change_gradient(self, model: Any) -> None:
            norm = sum(float(p.grad.square().sum()) for p in model.parameters()) ** 0.5
            seen.append("whole" if norm > 0.01 else "clipped")

        def pull(self, model: Any) -> float:
            norm = sum(float(p.grad.square().sum()) for p in model.parameters()) ** 0.5
            seen.append("pull whole" if norm > 0.01 else "pull clipped")
            return 0.0

    trainer = protect(
        made(kind, tiny_model, tmp_path, max_grad_norm=max_grad_norm, max_steps=2), [Watch()]
    )
    trainer.train()
    assert seen == ["whole", "pull clipped" if max_grad_norm > 0 else "pull whole"] * 2


PACKED: dict[str, Any] = {"packing": True, "max_length": 64}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("transformers", {}),
        ("trl", {}),
        ("trl", {**PACKED, "packing_strategy": "wrapped"}),
        ("trl", {**PACKED, "padding_free": True}),
    ],
    ids=["transformers", "trl", "wrapped", "padding free"],
)
def test_share_of_replay_is_in_tokens_to_within_a_point_in_every_epoch(
    kind: str, changes: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    """Old rows are a third as long as new ones, and one packed row is far less than a point."""
    changes = {"count": 150, "max_steps": 1, **changes}
    first = protect(made(kind, tiny_model, tmp_path / "1", **changes), [Replay(ratio=0.25)])
    first.train()
    first.protection.end_stage()
    model = first.model
    trainer = made(kind, tiny_model, tmp_path / "2", offset=1, model=model, wordy=4, **changes)
    protect(trainer, first.protection).train()
    rows = trainer.protection.rows
    for epoch in range(5):
        rows.set_epoch(epoch)
        tokens = {True: 0, False: 0}
        for index in range(len(rows)):
            tokens[rows[index]["replayed"]] += len(rows[index]["item"]["input_ids"])
        assert tokens[True] / sum(tokens.values()) == pytest.approx(0.25, abs=0.01)
        assert tokens[True] == rows.replayed_tokens


@both
def test_replayed_rows_are_those_of_the_stage_before_and_other_ones_in_every_epoch(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    trainer = two_stages(kind, tiny_model, tmp_path, [Replay(ratio=0.2)])
    rows = trainer.protection.rows
    drawn = []
    for epoch in range(3):
        rows.set_epoch(epoch)
        old = texts([rows[i] for i in range(len(rows)) if rows[i]["replayed"]], fresh_tokenizer())
        assert all("colour 0-" in text and "colour 1-" not in text for text in old)
        drawn.append(frozenset(old))
    assert len(set(drawn)) == 3
    new = texts([rows[i] for i in range(len(rows)) if not rows[i]["replayed"]], fresh_tokenizer())
    assert len(new) == 12
    assert all("colour 1-" in text for text in new)


@both
def test_training_draws_the_rows_of_each_epoch_as_it_comes_to_it(
    kind: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[int] = []
    monkeypatch.setattr(MixedRows, "set_epoch", lambda _, epoch: epochs.append(epoch))
    monkeypatch.setattr(MixedRows, "__len__", lambda rows: len(rows._new))
    two_stages(kind, tiny_model, tmp_path, [Replay(ratio=0.2)], num_train_epochs=3)
    assert [epoch for epoch, _ in groupby(epochs)] == [0, 1, 2]


def fresh_tokenizer() -> Any:
    from tests.tiny import build_tokenizer

    return build_tokenizer()


def test_labels_of_replayed_rows_are_those_they_were_learned_with(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = two_stages("trl", tiny_model, tmp_path, [Replay(ratio=0.5)])
    rows = trainer.protection.rows
    old = [rows[i]["item"] for i in range(len(rows)) if rows[i]["replayed"]]
    assert old
    for row in old:
        answer = [token for token in row["labels"] if token != -100]
        assert fresh_tokenizer().decode(answer).endswith("<|end|>\n")
        assert row["input_ids"][-len(answer) :] == answer


def test_documents_packed_without_padding_come_apart_when_replayed(
    tiny_model: Path, tmp_path: Path
) -> None:
    changes = {"packing": True, "max_length": 64, "padding_free": True}
    trainer = two_stages("trl", tiny_model, tmp_path, [Replay(ratio=0.25)], **changes)
    rows = trainer.protection.rows
    old = [rows[i]["item"] for i in range(len(rows)) if rows[i]["replayed"]]
    assert old
    for item in old:
        assert fresh_tokenizer().decode(item["input_ids"]).count("colour") == 1
        assert item["seq_lengths"] == [len(item["input_ids"])]


def test_draws_use_every_row_before_any_again_but_for_exchanges() -> None:
    lengths = np.full(10, 7)
    drawn = [
        draw(lengths, 4, 28.0, epoch, lambda turn: np.random.default_rng(turn))
        for epoch in range(5)
    ]
    assert sorted(np.concatenate(drawn).tolist()) == sorted([*range(10)] * 2)


def test_draw_exchanges_rows_until_the_tokens_are_right() -> None:
    lengths = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 100])
    for epoch in range(4):
        drawn = draw(lengths, 3, 12.0, epoch, lambda turn: np.random.default_rng(turn))
        assert len(set(drawn.tolist())) == 3
        assert lengths[drawn].sum() == pytest.approx(12, abs=1)


@both
def test_resumed_stage_ends_in_the_same_bits(kind: str, tiny_model: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "max_steps": 6}
    first = protect(made(kind, tiny_model, tmp_path / "1", max_steps=3), all_phases())
    first.train()
    first.protection.end_stage()
    first.protection.save(tmp_path / "protection")
    start = state_of(first)

    def second(folder: str, **more: Any) -> Any:
        """As another process would: nothing but files and the weights is carried over."""
        model = fresh(tiny_model).model
        model.load_state_dict(start, strict=False)
        return protect(
            made(kind, tiny_model, tmp_path / folder, offset=1, model=model, **changes, **more),
            all_phases(),
            previous=tmp_path / "protection",
        )

    whole = second("whole")
    whole.train()
    killed = second("killed", callbacks=[StopAt(3)])
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    again = second("killed")
    again.train(resume_from_checkpoint=True)
    assert differing(state_of(again), state_of(whole)) == []
    assert losses(again) == losses(whole)[2:]


def test_saved_protection_goes_on_as_the_one_in_memory(tiny_model: Path, tmp_path: Path) -> None:
    at_once = state_of(two_stages("transformers", tiny_model, tmp_path / "at once", all_phases()))
    first = protect(made("transformers", tiny_model, tmp_path / "1"), all_phases())
    first.train()
    first.protection.end_stage()
    first.protection.save(tmp_path / "saved")
    second = protect(
        made("transformers", tiny_model, tmp_path / "2", offset=1, model=first.model),
        all_phases(),
        previous=tmp_path / "saved",
    )
    assert second.protection.stage == 2
    second.train()
    assert differing(state_of(second), at_once) == []


def test_the_same_trainer_may_train_the_next_stage(tiny_model: Path, tmp_path: Path) -> None:
    two = two_stages("transformers", tiny_model, tmp_path / "two", all_phases())
    one = protect(made("transformers", tiny_model, tmp_path / "one"), all_phases())
    one.train()
    one.protection.end_stage()
    one.train_dataset = tokenised(fresh(tiny_model).tokenizer, 1)
    one.train()
    assert differing(state_of(one), state_of(two)) == []


def test_the_same_trainer_adapts_the_model_anew_for_the_next_stage(
    tiny_model: Path, tmp_path: Path
) -> None:
    """What OGD freezes after the first stage, and the share that Freeze draws in each."""
    methods: list[Method[Any]] = [OGD(), Freeze(share=0.5)]
    two = two_stages("transformers", tiny_model, tmp_path / "two", methods)
    one = protect(made("transformers", tiny_model, tmp_path / "one"), [OGD(), Freeze(share=0.5)])
    one.train()
    one.protection.end_stage()
    one.train_dataset = tokenised(fresh(tiny_model).tokenizer, 1)
    one.train()
    trained = [{n for n, p in t.model.named_parameters() if p.requires_grad} for t in (one, two)]
    assert trained[0] == trained[1]
    assert "model.embed_tokens.weight" not in trained[0]
    assert differing(state_of(one), state_of(two)) == []


@both
def test_norm_of_the_pulls_stands_beside_the_loss_alone(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    """The first step starts at the anchor, where nothing is pulled."""
    trainer = protect(made(kind, tiny_model, tmp_path, max_steps=3), [L2SP(strength=1.0)])
    metrics = trainer.train().metrics
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert "pull_norm" not in entries[0]
    assert entries[-1]["pull_norm"] > 0
    assert metrics["epoch"] == 1.0
    scores = trainer.evaluate(trainer.train_dataset)
    assert scores["epoch"] == 1.0
    assert "pull_norm" not in metrics | scores


@pytest.mark.parametrize("by", ["the same trainer", "another"])
def test_methods_see_the_model_in_its_own_precision_and_training_does_not(
    by: str, tiny_model: Path, tmp_path: Path
) -> None:
    seen: list[tuple[str, bool]] = []
    place = ["train"]

    class Look(Method[NoConfig]):
        name = "look"
        Config = NoConfig

        def start_stage(self, bench: Any, examples: Any) -> None:
            self.end_stage(bench)

        def end_stage(self, bench: Any) -> None:
            place[0] = "method"
            bench.model(torch.ones(1, 2, dtype=torch.int64))
            place[0] = "train"

    changes: dict[str, Any] = {"bf16": True, "max_steps": 1}
    trainer = made("transformers", tiny_model, tmp_path, **changes)
    looks_past_padding(trainer.model)  # the passes of its trial are seen elsewhere
    trainer.model.lm_head.register_forward_hook(
        lambda *_: seen.append((place[0], torch.is_autocast_enabled("cpu")))
    )
    protect(trainer, [Look()]).train()
    trainer.protection.end_stage()
    if by == "another":
        second = made("transformers", tiny_model, tmp_path, model=trainer.model, **changes)
        trainer = protect(second, trainer.protection)
    trainer.train_dataset = tokenised(fresh(tiny_model).tokenizer, 1)
    trainer.train()
    trainer.protection.end_stage()
    assert seen == [("method", False), ("train", True), ("method", False)] * 2


@both
def test_adapters_of_peft_are_protected(kind: str, tiny_model: Path, tmp_path: Path) -> None:
    config = peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    if kind == "trl":
        trainer = two_stages(kind, tiny_model, tmp_path, all_phases(), peft_config=config)
    else:
        model = peft.get_peft_model(fresh(tiny_model).model, config)
        trainer = two_stages(kind, tiny_model, tmp_path, all_phases(), model=model)
    base = weights(fresh(tiny_model).model)
    found = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): value
        for name, value in state_of(trainer).items()
        if "lora_" not in name
    }
    assert differing(found, base) == []
    assert any("lora_A" in key for key in trainer.protection.methods.methods[2].state().tensors)


@both
def test_bfloat16_arithmetic_works(kind: str, tiny_model: Path, tmp_path: Path) -> None:
    trainer = two_stages(kind, tiny_model, tmp_path, all_phases(), bf16=True)
    assert {value.dtype for value in state_of(trainer).values()} == {torch.float32}
    assert losses(trainer)[-1] < losses(trainer)[0]


@both
def test_evaluation_is_the_trainers_own(kind: str, tiny_model: Path, tmp_path: Path) -> None:
    """In the midst of a stage, too, when rows are marked and terms are added to their loss."""
    still: dict[str, Any] = {"max_steps": 1, "learning_rate": 0.0}
    plain = made(kind, tiny_model, tmp_path / "plain", **still)
    ours = protect(made(kind, tiny_model, tmp_path / "ours", **still), [Calm(strength=5.0)])
    found = []
    for trainer in (plain, ours):
        trainer.train()
        rows = trainer.train_dataset
        if kind == "transformers":
            rows = rows.to_list()  # which go through the collator that removes columns
        found.append(trainer.evaluate(rows)["eval_loss"])
    assert found[0] == found[1]


IN_RUNS_ALONE = {"joint", "lora", "olora"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "transformers") for name in METHODS),
        *(pytest.param(n, "trl", marks=() if n in BY_TRL else pytest.mark.slow) for n in METHODS),
    ],
)
def test_every_method_works_over_two_stages_or_says_that_it_is_for_runs(
    name: str, kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    case = CASES[name]
    methods = [METHODS[n](**o) for n, o in {name: case.on, **case.beside}.items()]
    if name in IN_RUNS_ALONE:
        with pytest.raises(PlanError, match=f"{name} cannot act in your own trainer: "):
            protect(made(kind, tiny_model, tmp_path), methods)
        return
    trainer = two_stages(kind, tiny_model, tmp_path / "two", methods)
    trainer.protection.end_stage()
    assert all(value.isfinite().all() for value in state_of(trainer).values())
    beside = [METHODS[n](**o) for n, o in case.beside.items()]
    plain = two_stages(kind, tiny_model, tmp_path / "plain", beside)
    if name not in ("sequential", "agem"):  # agem may find nothing to object to
        assert differing(state_of(trainer), state_of(plain))


REFUSED: dict[str, tuple[list[Method[Any]], dict[str, Any], str]] = {
    "a method of runs": ([LoRA()], {}, "lora cannot act in your own trainer: "),
    "rows of a source": (
        [Replay(general="rows.jsonl")],
        {},
        "replay cannot act in your own trainer: general rows are rendered as a plan says",
    ),
    "a bound": ([Joint()], {}, "joint cannot act in your own trainer: "),
    "its own loss": (
        [Calm()],
        {"compute_loss_func": lambda *_, **__: None},
        "calm cannot act in this trainer: it replaces the loss",
    ),
    "smoothed labels": ([Calm()], {"label_smoothing_factor": 0.1}, "it replaces the loss"),
    "an average over the best": (
        [EMA()],
        {"load_best_model_at_end": True, "save_strategy": "best"},
        "ema cannot act in this trainer: it leaves an average over the steps, those after the best",
    ),
    "importances of steps that are taken back": (
        [SI()],
        {"load_best_model_at_end": True, "save_strategy": "best"},
        "si cannot act in this trainer: it weighs what the steps did for the loss, those after",
    ),
    "rows in the order of their lengths": (
        [Replay()],
        {"train_sampling_strategy": "group_by_length"},
        "replay cannot act in this trainer: the sampler looks into rows",
    ),
    "persistent workers": (
        [Replay()],
        {"dataloader_persistent_workers": True, "dataloader_num_workers": 1},
        "persistent workers keep the rows of the first epoch",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_at_once(case: str, tiny_model: Path, tmp_path: Path) -> None:
    methods, changes, message = REFUSED[case]
    trainer = made("transformers", tiny_model, tmp_path, **changes)
    with pytest.raises(PlanError, match=message):
        protect(trainer, methods)


@pytest.mark.parametrize(
    ("method", "message"),
    [(OSF(), "has an adapter"), (SI(), "has an adapter"), (EWC(), "not just add a product")],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_trainer_whose_model_a_method_refuses_is_left_as_it_was(
    method: Method[Any], message: str, tiny_model: Path, tmp_path: Path
) -> None:
    config = peft.LoraConfig(r=4, target_modules=["q_proj"], use_dora=True)
    model = peft.get_peft_model(fresh(tiny_model).model, config)
    trainer = made("transformers", tiny_model, tmp_path, model=model)
    kind, callbacks = type(trainer), list(trainer.callback_handler.callbacks)
    with pytest.raises(ModelError, match=message):
        protect(trainer, [method])
    assert type(trainer) is kind
    assert trainer.callback_handler.callbacks == callbacks
    assert protect(trainer, [Replay(ratio=0.1)]).protection.methods.label == "replay"


def test_padding_free_batches_are_refused_where_rows_matter(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made("trl", tiny_model, tmp_path, packing=True, max_length=64, padding_free=True)
    with pytest.raises(PlanError, match="calm cannot act in this trainer: it looks at each row"):
        protect(trainer, [Calm()])


def test_another_loss_of_trl_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    trainer = made("trl", tiny_model, tmp_path, loss_type="dft")
    with pytest.raises(PlanError, match="use loss_type='nll'"):
        protect(trainer, [Calm()])


def test_a_trainer_with_its_own_compute_loss_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    trainer = made("transformers", tiny_model, tmp_path)
    kind = type(trainer)
    trainer.__class__ = type("Mine", (kind,), {"compute_loss": lambda *_: None})
    with pytest.raises(PlanError, match="Mine has a compute_loss of its own"):
        protect(trainer, [Calm()])
    protect(trainer, [Replay()])  # which does not look at the loss


def test_a_loss_with_other_arguments_by_name_is_called_as_the_trainer_calls_it(
    tiny_model: Path, tmp_path: Path
) -> None:
    class Mine(Trainer):
        def compute_loss(  # type: ignore[override]
            self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any
        ) -> Any:
            return super().compute_loss(model, inputs, return_outputs=return_outputs, **kwargs)

    found = []
    for methods in (None, [Replay(ratio=0)]):
        trainer = made("transformers", tiny_model, tmp_path, max_steps=2)
        trainer.__class__ = Mine
        if methods is not None:
            protect(trainer, methods)
        trainer.train()
        found.append(losses(trainer))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["get_train_dataloader", "_get_train_sampler"])
def test_a_trainer_that_chooses_its_rows_itself_is_refused(
    name: str, tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made("transformers", tiny_model, tmp_path)
    trainer.__class__ = type("Mine", (type(trainer),), {name: lambda *_: None})
    for methods in ([Calm()], [Replay()]):
        with pytest.raises(PlanError, match=f"Mine has a {name} of its own"):
            protect(trainer, methods)
    protect(trainer, [Anchor()])  # which looks at no row


def test_half_precision_without_clipping_is_refused_where_weights_are_pulled(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made("transformers", tiny_model, tmp_path, max_grad_norm=0.0)
    trainer.args.fp16 = True
    with pytest.raises(PlanError, match="anchor cannot act in this trainer: fp16 scales"):
        protect(trainer, [Anchor()])
    trainer.args.max_grad_norm = 1.0
    protect(trainer, [Anchor()])


def test_half_precision_is_refused_where_gradients_are_changed(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made("transformers", tiny_model, tmp_path)
    trainer.args.fp16 = True
    message = "project cannot act in this trainer: fp16 scales the gradient; use bf16"
    with pytest.raises(PlanError, match=message):
        protect(trainer, [Project()])


def test_several_devices_of_one_process_are_refused_where_logits_are_looked_at(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made("transformers", tiny_model, tmp_path)
    trainer.args._n_gpu = 2
    message = "calm cannot act in this trainer: it needs each row's logits, which DataParallel"
    with pytest.raises(PlanError, match=message):
        protect(trainer, [Calm()])
    protect(trainer, [Replay()])


def test_methods_that_look_at_the_model_are_refused_where_weights_are_sharded(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made("transformers", tiny_model, tmp_path)
    trainer.is_fsdp_enabled = True
    for method in (L2SP(), Replay(buffer="balanced", select="surprise"), SelfReplay()):
        with pytest.raises(PlanError) as caught:
            protect(trainer, [method])
        assert caught.value.message == (
            f"methods: {method.name} cannot act in this trainer: {method.needs_weights}, and no "
            "process of this trainer has whole weights; use DDP (accelerate launch without FSDP), "
            "or DeepSpeed's ZeRO 1 or 2"
        )
    protect(trainer, [Replay()])


@pytest.mark.parametrize("stage", [2, 3])
def test_methods_that_act_around_the_step_are_refused_under_deepspeed(
    stage: int, tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made("transformers", tiny_model, tmp_path)
    trainer.is_deepspeed_enabled = True
    plugin = SimpleNamespace(zero_stage=stage)
    trainer.accelerator = SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=plugin))
    with pytest.raises(PlanError) as caught:
        protect(trainer, [L2SP()])
    assert caught.value.message == (
        "methods: l2sp cannot act in this trainer: it adds to the gradient, where DeepSpeed's "
        "engine lets nobody in; use DDP (accelerate launch without DeepSpeed)"
    )
    if stage == 3:
        with pytest.raises(PlanError, match="no process of this trainer has whole weights"):
            protect(trainer, [KL()])
    else:
        refuse_what_cannot_work(trainer, Compose([KL()]))


def test_a_model_made_anew_by_train_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    trainer = made("transformers", tiny_model, tmp_path)
    trainer.model_init = lambda: fresh(tiny_model).model
    with pytest.raises(UsageError, match="makes its model anew in train"):
        protect(trainer, [Replay()])


def collating(trainer: Any, change: Callable[[dict[str, Any]], None]) -> Any:
    """The trainer with batches changed by its collator."""
    collate = trainer.data_collator

    def changed(rows: list[Any]) -> dict[str, Any]:
        batch = dict(collate(rows))
        change(batch)
        return batch

    trainer.data_collator = changed
    return trainer


def test_inputs_that_a_forward_pass_of_ours_would_drop_are_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    def with_types(batch: dict[str, Any]) -> None:
        batch["token_type_ids"] = torch.zeros_like(batch["input_ids"])

    trainer = collating(made("transformers", tiny_model, tmp_path), with_types)
    with pytest.raises(UsageError, match="the collator gives token_type_ids"):
        protect(trainer, [Calm()])
    protect(trainer, [Replay()])  # the trainer's own forward pass


def test_batches_without_a_mask_are_learned_as_the_trainer_does(
    tiny_model: Path, tmp_path: Path
) -> None:
    found = []
    for methods in ([], [Calm(strength=0)]):
        trainer = made("transformers", tiny_model, tmp_path, max_steps=3, **PLAIN_STEPS)
        trainer = collating(trainer, lambda batch: batch.pop("attention_mask"))
        protect(trainer, methods).train()
        found.append(losses(trainer))
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_padding_on_the_left_without_positions_is_refused_where_logits_are_looked_at(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made("transformers", tiny_model, tmp_path)
    trainer.processing_class.padding_side = "left"
    with pytest.raises(UsageError, match="pads rows on the left and gives no position_ids"):
        protect(trainer, [Calm()])
    protect(trainer, [Replay()])


def test_padding_on_the_left_is_warned_of_where_the_model_reads_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def warnings_of(methods: list[Method[Any]], side: str, **changes: Any) -> list[str]:
        tokenizer = build_tokenizer()
        tokenizer.padding_side = side
        trainer = stock(tmp_path, bart(), tokenizer, max_steps=1, **changes)
        caplog.clear()
        protect(trainer, methods).train()
        return [r.getMessage() for r in caplog.records if r.name.startswith("forgetless")]

    (told,) = warnings_of([L2SP()], "left")
    assert told.startswith("BartForCausalLM reads padding as text, and the trainer pads rows on ")
    assert warnings_of([L2SP()], "left", per_device_train_batch_size=1) == []
    assert warnings_of([L2SP()], "right") == []
    assert warnings_of([KL()], "right") == []


def test_rows_with_one_label_each_are_refused_where_rows_are_looked_at(
    tiny_model: Path, tmp_path: Path
) -> None:
    def classes(batch: dict[str, Any]) -> None:
        batch["labels"] = torch.zeros(len(batch["labels"]), dtype=torch.int64)

    trainer = collating(made("transformers", tiny_model, tmp_path), classes)
    with pytest.raises(UsageError, match=r"labels of shape \(1,\) for input_ids of shape \(1, "):
        protect(trainer, [Replay()])
    protect(trainer, [Freeze(first=1)])


def test_batches_without_labels_are_refused_where_rows_are_looked_at(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made("transformers", tiny_model, tmp_path)
    trainer = collating(trainer, lambda batch: batch.pop("labels"))
    with pytest.raises(UsageError) as caught:
        protect(trainer, [Replay()])
    assert caught.value.message == (
        "the collator gives input_ids, attention_mask; needed input_ids and labels"
    )
    assert caught.value.fix == (
        "use a collator for language models, such as DataCollatorForLanguageModeling("
        "tokenizer, mlm=False)"
    )


def test_batches_of_fewer_rows_are_refused_where_each_row_s_loss_is_looked_at(
    tiny_model: Path, tmp_path: Path
) -> None:
    def packed(batch: dict[str, Any]) -> None:
        batch.update({name: values[:1] for name, values in batch.items()})

    trainer = collating(made("transformers", tiny_model, tmp_path), packed)
    with pytest.raises(UsageError) as caught:
        protect(trainer, [Calm()]).train()
    assert caught.value.message == (
        "the collator makes 4 rows into 1; methods that look at each row's loss need one each"
    )
    assert caught.value.fix == (
        "padding_free=False, and packing=False or packing_strategy='wrapped'"
    )


def test_answers_are_rehearsed_as_answers_among_plain_texts(
    tiny_model: Path, tmp_path: Path
) -> None:
    """TRL's collator takes labels from the rows that bring them."""
    first = protect(made("trl", tiny_model, tmp_path), [Replay(ratio=0.5)])
    first.train()
    first.protection.end_stage()
    second = made("trl", tiny_model, tmp_path, model=first.model)
    plain = fresh_tokenizer()(["a text of its own"] * 12)["input_ids"]
    second.train_dataset = datasets.Dataset.from_dict({"input_ids": plain})
    protect(second, first.protection).train()
    rows = second.protection.rows
    rehearsed = [row["item"] for row in map(rows.__getitem__, range(len(rows))) if row["replayed"]]
    assert rehearsed
    for item in rehearsed:
        learned = [token for token in item["labels"] if token != -100]
        assert 0 < len(learned) < len(item["input_ids"])


def test_rows_longer_than_the_context_are_learned_as_the_trainer_does(
    tiny_model: Path, tmp_path: Path
) -> None:
    """A model of rotary positions takes them, and they are rehearsed as they are."""
    model = fresh(tiny_model).model
    model.config.max_position_embeddings = 16
    trainer = two_stages("transformers", tiny_model, tmp_path, all_phases(), model=model)
    rows = trainer.protection.rows
    old = [rows[i]["item"]["input_ids"] for i in range(len(rows)) if rows[i]["replayed"]]
    assert min(map(len, old)) > 16


def test_rows_are_not_read_before_training_where_no_method_asks_for_them(
    tiny_model: Path, tmp_path: Path
) -> None:
    read: list[int] = []

    class Rows(torch.utils.data.Dataset[Any]):
        def __init__(self, rows: Any) -> None:
            self._rows = rows

        def __len__(self) -> int:
            return len(self._rows)

        def __getitem__(self, index: int) -> Any:
            read.append(index)
            return self._rows[index]

    trainer = made("transformers", tiny_model, tmp_path)
    trainer.train_dataset = Rows(trainer.train_dataset)
    protect(trainer, [Calm(), Anchor(), Replay()])
    read.clear()
    trainer.protection.begin(trainer)
    assert max(read) < 8  # the first few are tried


def test_eos_that_the_collator_takes_for_padding_may_be_rehearsed(
    tiny_model: Path, tmp_path: Path
) -> None:
    def stage(number: int, model: Any) -> Any:
        trainer = made("transformers", tiny_model, tmp_path, offset=number, model=model)
        tokenizer = trainer.processing_class
        tokenizer.pad_token = tokenizer.eos_token
        trainer.train_dataset = trainer.train_dataset.remove_columns("labels")
        trainer.data_collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)
        return trainer

    first = protect(stage(0, fresh(tiny_model).model), [Replay(ratio=0.3)])
    first.train()
    first.protection.end_stage()
    second = protect(stage(1, first.model), first.protection)
    second.train()
    rows = second.protection.rows
    old = [rows[i]["item"] for i in range(len(rows)) if rows[i]["replayed"]]
    assert old
    for item in old:
        assert set(item) == {"input_ids", "attention_mask"}
        assert item["input_ids"][-1] == second.processing_class.eos_token_id


@pytest.mark.parametrize("form", ["torch", "numpy"])
def test_rehearsed_rows_have_the_types_of_the_training_rows(
    form: str, tiny_model: Path, tmp_path: Path
) -> None:
    """default_data_collator stacks what it is given."""

    def stage(number: int, model: Any) -> Any:
        trainer = made("transformers", tiny_model, tmp_path, offset=number, model=model)
        rows = trainer.train_dataset.map(lambda row: {name: row[name][:16] for name in row})
        trainer.train_dataset = rows.with_format(form)
        trainer.data_collator = default_data_collator
        return trainer

    first = protect(stage(0, fresh(tiny_model).model), [Replay(ratio=0.3)])
    first.train()
    first.protection.end_stage()
    second = protect(stage(1, first.model), first.protection)
    second.train()
    rows = second.protection.rows
    items = [rows[i]["item"] for i in range(len(rows))]
    assert len({(type(v), v.dtype) for item in items for v in item.values()}) == 1
    assert len(items) > 12


def test_rows_padded_beforehand_are_refused_where_nothing_pads_rehearsed_ones(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made("transformers", tiny_model, tmp_path)
    fill = {"input_ids": 0, "attention_mask": 0, "labels": -100}
    trainer.train_dataset = trainer.train_dataset.map(
        lambda row: {name: row[name] + [fill[name]] * (64 - len(row[name])) for name in row}
    )
    trainer.data_collator = default_data_collator
    with pytest.raises(UsageError, match="the collator cannot put rehearsed rows"):
        protect(trainer, [Replay()])
    protect(trainer, [Replay(ratio=0)])


def test_own_optimizer_of_the_stage_before_is_not_replaced_by_another_kind(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made("transformers", tiny_model, tmp_path, max_steps=1)
    trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.1)
    protect(trainer, [Replay()]).train()
    trainer.protection.end_stage()
    trainer.train_dataset = tokenised(fresh(tiny_model).tokenizer, 1)
    with pytest.raises(UsageError, match="was made with an optimizer, whose state is of"):
        trainer.train()
    trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.1)
    trainer.train()


def test_something_else_than_a_trainer_is_refused() -> None:
    with pytest.raises(UsageError, match="was given a str, needed a "):
        protect("trainer", [])  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("given", "told", "fix"),
    [
        (
            ["ewc"],
            "was given str 'ewc', needed methods",
            "import EWC;  protect(trainer, [EWC(...)])",
        ),
        ("replay", "was given str 'replay'", "[Replay(...)]"),
        ({"kl": {"strength": 0.5}}, "was given dict", "[KL(...)]"),
        ([KL], "was given", "[KL(...)]"),
        (None, "was given NoneType", "[Replay(...)]"),
    ],
)
def test_what_is_no_method_is_refused_with_what_to_write(given: Any, told: str, fix: str) -> None:
    with pytest.raises(UsageError) as refused:
        protect(SimpleNamespace(), given)  # type: ignore[type-var]
    assert told in refused.value.message
    assert fix in str(refused.value.fix)


def test_one_method_needs_no_list(tiny_model: Path, tmp_path: Path) -> None:
    trainer = protect(made("transformers", tiny_model, tmp_path), Replay(ratio=0.1))
    assert trainer.protection.methods.label == "replay"


def test_a_trainer_is_protected_once(tiny_model: Path, tmp_path: Path) -> None:
    trainer = protect(made("transformers", tiny_model, tmp_path), [Replay()])
    with pytest.raises(UsageError, match="protected already, by replay"):
        protect(trainer, [KL()])
    assert protect(trainer, trainer.protection) is trainer


def test_previous_is_a_folder(tiny_model: Path, tmp_path: Path) -> None:
    trainer = made("transformers", tiny_model, tmp_path)
    with pytest.raises(UsageError, match="previous is a Trainer, needed the folder"):
        protect(trainer, [Replay()], previous=trainer)


def test_what_other_methods_remembered_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    protection = Protection(Compose([Replay(), KL()]))
    protection.save(tmp_path / "saved")
    others: list[tuple[list[Method[Any]], str]] = [
        ([Replay()], "replay"),
        ([Replay(), KL(), Calm()], "replay [+] kl"),
    ]
    for methods, label in others:
        trainer = made("transformers", tiny_model, tmp_path / "next")
        with pytest.raises(UsageError, match=f"kl [+] replay remembered, .* given {label}") as told:
            protect(trainer, methods, previous=tmp_path / "saved")
        assert told.value.fix == "give protect() the same methods"


def test_rows_without_a_length_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    trainer = made("transformers", tiny_model, tmp_path, max_steps=2)
    trainer.train_dataset = trainer.train_dataset.to_iterable_dataset()
    with pytest.raises(UsageError, match="train_dataset has no length"):
        protect(trainer, [Replay()])


def test_column_that_rehearsed_rows_cannot_have_is_named(tiny_model: Path, tmp_path: Path) -> None:
    """In the first stage already, before there is anything to rehearse."""
    trainer = made("transformers", tiny_model, tmp_path, remove_unused_columns=False)
    rows: datasets.Dataset = trainer.train_dataset
    trainer.train_dataset = rows.add_column("weight", [1.0] * len(rows))
    with pytest.raises(UsageError, match="a column 'weight', which rehearsed rows cannot have"):
        protect(trainer, [Replay()])


def test_stage_cannot_end_before_it_was_trained(tiny_model: Path, tmp_path: Path) -> None:
    trainer = protect(made("transformers", tiny_model, tmp_path), [Replay()])
    with pytest.raises(UsageError, match="stage 1 was not trained"):
        trainer.protection.end_stage()


def test_folder_without_a_protection_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no saved protection"):
        protect(made("transformers", tiny_model, tmp_path), [Replay()], previous=tmp_path)


def trained_once(tiny_model: Path, folder: Path, *methods: Method[Any], **changes: Any) -> Any:
    """A protected trainer whose first stage was trained and not ended."""
    trainer = protect(made("transformers", tiny_model, folder, max_steps=2, **changes), methods)
    trainer.train()
    return trainer


def test_saving_leaves_a_folder_with_anything_else_in_it_alone(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = trained_once(tiny_model, tmp_path / "out", Replay())
    trainer.protection.end_stage()
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="out: holds something else than a saved protection"):
        trainer.protection.save(trainer.args.output_dir)
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_saving_takes_a_new_folder_an_empty_one_and_its_own(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = trained_once(tiny_model, tmp_path / "out", Replay())
    trainer.protection.end_stage()
    (tmp_path / "empty").mkdir()
    for folder in ("new", "empty", "new"):
        trainer.protection.save(tmp_path / folder)
        again = Protection(trainer.methods)
        again.restore(tmp_path / folder)
        assert again.stage == 2


def test_forgotten_end_of_a_stage_is_refused_wherever_the_next_one_would_begin(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = trained_once(tiny_model, tmp_path / "1", Replay())
    message = "stage 1 was trained and not ended"
    with pytest.raises(UsageError, match=message):
        protect(made("transformers", tiny_model, tmp_path / "2", offset=1), trainer.protection)
    with pytest.raises(UsageError, match=message):
        trainer.protection.save(tmp_path / "protection")
    assert not (tmp_path / "protection").exists()
    rows = trainer.train_dataset
    trainer.train_dataset = tokenised(fresh(tiny_model).tokenizer, 1)
    with pytest.raises(UsageError, match=message):
        trainer.train()
    trainer.train_dataset = rows
    trainer.train()  # the same rows once more are the same stage
    assert trainer.protection.stage == 1


def test_stage_that_was_broken_off_may_begin_again_with_other_rows(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made("transformers", tiny_model, tmp_path, max_steps=2, callbacks=[StopAt(1)])
    protect(trainer, [Replay(), Calm()])
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    trainer.train_dataset = tokenised(fresh(tiny_model).tokenizer, 1)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    rows = trainer.protection.rows
    found = texts([rows[i] for i in range(len(rows))], fresh_tokenizer())
    assert len(found) == 12
    assert all("colour 1-" in text for text in found)


def second_stage_killed(tiny_model: Path, tmp_path: Path) -> None:
    """Checkpoints of a second stage under ``2``, and what its protection was under ``saved``."""
    first = trained_once(tiny_model, tmp_path / "1", Replay(), **CHECKPOINTED)
    first.protection.end_stage()
    first.protection.save(tmp_path / "saved")
    changes = CHECKPOINTED | {"callbacks": [StopAt(2)]}
    second = made("transformers", tiny_model, tmp_path / "2", model=first.model, **changes)
    with pytest.raises(KeyboardInterrupt):
        protect(second, first.protection).train()


def test_second_stage_resumed_without_what_the_first_left_is_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    second_stage_killed(tiny_model, tmp_path)
    again = protect(made("transformers", tiny_model, tmp_path / "2", **CHECKPOINTED), [Replay()])
    with pytest.raises(UsageError, match="is a checkpoint of stage 2, but stage 1") as told:
        again.train(resume_from_checkpoint=True)
    assert "previous=FOLDER" in str(told.value)


def test_checkpoint_of_the_stage_before_is_not_gone_on_from(
    tiny_model: Path, tmp_path: Path
) -> None:
    second_stage_killed(tiny_model, tmp_path)
    second = made("transformers", tiny_model, tmp_path / "1", **CHECKPOINTED)
    protect(second, [Replay()], previous=tmp_path / "saved")
    with pytest.raises(UsageError, match="is a checkpoint of stage 1, but stage 2") as told:
        second.train(resume_from_checkpoint=True)
    assert "an output_dir of its own" in str(told.value)


def test_rows_that_teach_nothing_are_remembered_as_such(tiny_model: Path, tmp_path: Path) -> None:
    """The last row and another one; places of rows in buffers count them."""
    first = made("transformers", tiny_model, tmp_path / "1", max_steps=2)
    rows = first.train_dataset.to_list()
    for row in (rows[3], rows[-1]):
        row["labels"] = [-100] * len(row["labels"])
    first.train_dataset = datasets.Dataset.from_list(rows)
    protect(first, [Replay(ratio=0.5)]).train()
    first.protection.end_stage()
    first.protection.save(tmp_path / "saved")
    changes: dict[str, Any] = {"offset": 1, "model": first.model, "max_steps": 2}
    found = []
    for given in ({"methods": first.protection}, {"previous": tmp_path / "saved"}):
        second = made("transformers", tiny_model, tmp_path / "2", **changes)
        protect(second, **{"methods": [Replay(ratio=0.5)], **given}).train()
        mixed = second.protection.rows
        found.append(texts([mixed[i] for i in range(len(mixed))], fresh_tokenizer()))
    assert found[0] == found[1]
    assert any("colour 0-" in text for text in found[0])


def test_methods_are_in_a_checkpoint_before_older_ones_are_deleted(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the two must not cost the stage."""
    saved = Compose.save

    def killed(methods: Compose, folder: Path) -> None:
        if "checkpoint-2" in folder.parts:
            raise KeyboardInterrupt
        saved(methods, folder)

    monkeypatch.setattr(Compose, "save", killed)
    trainer = made("transformers", tiny_model, tmp_path, save_total_limit=1, **CHECKPOINTED)
    with pytest.raises(KeyboardInterrupt):
        protect(trainer, [Replay()]).train()
    assert (tmp_path / "checkpoint-1" / "trainer_state.json").is_file()


def test_checkpoint_broken_off_is_refused_and_the_one_before_it_named(
    tiny_model: Path, tmp_path: Path
) -> None:
    trained_once(tiny_model, tmp_path, Replay(), **CHECKPOINTED)
    (tmp_path / "checkpoint-2" / "trainer_state.json").unlink()
    trainer = protect(made("transformers", tiny_model, tmp_path, **CHECKPOINTED), [Replay()])
    with pytest.raises(UsageError, match="checkpoint-2: is not whole") as told:
        trainer.train(resume_from_checkpoint=True)
    assert "/checkpoint-1')" in str(told.value)


def test_checkpoint_of_an_unprotected_training_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "max_steps": 2}
    made("transformers", tiny_model, tmp_path, **changes).train()
    trainer = protect(made("transformers", tiny_model, tmp_path, **changes), [Replay()])
    with pytest.raises(UsageError, match="checkpoint-2: was written without protection"):
        trainer.train(resume_from_checkpoint=True)


@pytest.mark.parametrize("rehearses", [False, True], ids=["", "replay"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"dataloader_drop_last": True},
     {"dataloader_drop_last": True, "gradient_accumulation_steps": 3}],
    ids=["", "dropped", "dropped, parts"],
)  # fmt: skip
def test_methods_know_how_many_steps_a_stage_takes(
    changes: dict[str, Any], rehearses: bool, tiny_model: Path, tmp_path: Path
) -> None:
    """Rows are 10, in batches of 4; with rehearsed ones among them more."""
    methods: list[Method[Any]] = [sfa := SFA(), *([Replay(ratio=0.3)] if rehearses else [])]
    trainer = protect(
        made("transformers", tiny_model, tmp_path, count=10, per_device_train_batch_size=4,
             num_train_epochs=1.5, **changes),
        methods,
    )  # fmt: skip
    for _ in range(1 + rehearses):
        trainer.train()
        assert sfa._planned == trainer.state.max_steps
        trainer.protection.end_stage()

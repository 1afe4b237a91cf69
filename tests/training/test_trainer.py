"""Our trainer against a plain loop in PyTorch, which shares no code with it."""

from __future__ import annotations

import gc
import json
import math
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from forgetless.methods.batch import IGNORED
from forgetless.models.load import LoadedModel
from forgetless.models.save import save_stage_model
from forgetless.plan import TrainingConfig
from forgetless.tasks.render import Encoded
from forgetless.tasks.row import Row, Turn
from forgetless.training import stage as stage_module
from forgetless.training.rows import collate
from forgetless.training.stage import in_passes, training_arguments
from tests.models.test_padding import bart
from tests.tiny import build_tokenizer
from tests.training.build import (
    colour_task,
    differing,
    distance,
    exchange,
    fresh,
    load,
    make_task,
    one_stage_a_task,
    settings,
    train,
    weights,
    with_learned_positions,
)

Labelled = tuple[list[int], list[int]]  # token ids and labels
EVERYTHING = make_task(
    "everything",
    [
        *(exchange(f"short-{n}", f"colour {n}?", "red") for n in range(5)),
        *(exchange(f"long-{n}", f"Please explain number {n}.", f"It is {n} " * n) for n in (2, 5)),
        Row("text", (), "A plain text, all of it learned."),
        *(
            Row(
                f"turns-{n}",
                (
                    Turn("system", "Be brief."),
                    Turn("user", f"{n}+1?"),
                    Turn("assistant", f"{n + 1}"),
                    Turn("user", "And one more?"),
                ),
                f"{n + 2}!",
            )
            for n in range(4)
        ),
    ],
)


def by_hand(row: Row, tokenizer: Any) -> Labelled:
    """Ids and labels of a row, written out from the template of ``tests/tiny.py``."""
    pieces: list[tuple[str, bool]] = []
    if not row.prompt:
        pieces = [(row.answer + "<|end|>", True)]
    for turn in (*row.prompt, Turn("assistant", row.answer)) if row.prompt else ():
        if turn.role == "assistant":
            pieces += [("<|assistant|>", False), (turn.content + "<|end|>", True), ("\n", False)]
        else:
            pieces += [(f"<|{turn.role}|>{turn.content}<|end|>\n", False)]
    ids: list[int] = []
    labels: list[int] = []
    for text, learned in pieces:
        tokens = tokenizer(text)["input_ids"]
        ids += tokens
        labels += tokens if learned else [-100] * len(tokens)
    return ids, labels


def rate(step: int, steps: int, config: TrainingConfig) -> float:
    """The learning rate of a step, counted from 0, as transformers documents its schedules."""
    warm = round(steps * config.warmup)
    if step < warm:
        return config.learning_rate * step / warm
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - warm) / (steps - warm)
    falling = 1 - done if config.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return config.learning_rate * falling


def plain_loop(
    folder: Path, steps: Sequence[Sequence[Sequence[Labelled]]], config: TrainingConfig
) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Train with full logits, right padding and the loss that transformers computes from labels.

    Args:
        folder: The model.
        steps: For each step, for each forward pass, its rows.
        config: Rates, clipping and decay.
    """
    model = AutoModelForCausalLM.from_pretrained(folder).train()
    named = list(model.named_parameters())
    optimiser = torch.optim.AdamW(
        [
            {
                "params": [p for n, p in named if "norm" not in n],
                "weight_decay": config.weight_decay,
            },
            {"params": [p for n, p in named if "norm" in n], "weight_decay": 0.0},
        ]
    )
    losses = []
    for number, passes in enumerate(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate(number, len(steps), config)
        learned = sum(
            label != -100 for rows in passes for _, labels in rows for label in labels[1:]
        )
        total = 0.0
        for rows in passes:
            length = max(len(ids) for ids, _ in rows)
            batch = {
                "input_ids": torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in rows]),
                "attention_mask": torch.tensor(
                    [[1] * len(ids) + [0] * (length - len(ids)) for ids, _ in rows]
                ),
                "labels": torch.tensor([x + [-100] * (length - len(x)) for _, x in rows]),
            }
            loss = model(**batch, num_items_in_batch=learned).loss
            loss.backward()
            total += float(loss.detach())
        if config.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(total)
    return losses, weights(model)


def in_steps(rows: Sequence[Labelled], config: TrainingConfig) -> list[list[list[Labelled]]]:
    """Rows in their order as forward passes and steps."""
    size = config.batch_size
    passes = [list(rows[start : start + size]) for start in range(0, len(rows), size)]
    return [passes[n : n + config.accumulation] for n in range(0, len(passes), config.accumulation)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"accumulation": 3, "batch_size": 2},
        {"schedule": "cosine", "warmup": 0.4, "weight_decay": 0.3},
        {"schedule": "constant"},
        {"schedule": "constant", "warmup": 0, "max_grad_norm": 0},
        {"max_grad_norm": 0.1, "batch_size": 1},
        {"steps": None, "epochs": 1, "batch_size": 5},  # a last step that is not full
        {"steps": None, "epochs": 2, "batch_size": 5, "accumulation": 2},
    ],
    ids=lambda changes: " ".join(f"{k}={v}" for k, v in changes.items()) or "usual",
)
def test_losses_and_weights_are_those_of_a_plain_loop(
    changes: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    config = settings(**{"warmup": 0.25, **changes})
    (stage,) = one_stage_a_task([EVERYTHING])
    trained = train(fresh(tiny_model), stage, config, tmp_path)

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    rows = {row.id: by_hand(row, tokenizer) for row in EVERYTHING.train}
    order = [rows[json.loads(line)["row"]] for line in trained.schedule.lines()]
    losses, expected = plain_loop(tiny_model, in_steps(order, config), config)

    assert trained.losses == pytest.approx(losses, rel=1e-5)
    assert len(losses) == trained.report.steps
    start = weights(fresh(tiny_model).model)
    assert distance(weights(trained.model), expected) < 0.005 * distance(start, expected)


def test_rows_beside_longer_ones_are_learned_as_each_alone_where_padding_is_read(
    tmp_path: Path,
) -> None:
    (stage,) = one_stage_a_task([EVERYTHING])
    start = weights(bart())
    together, alone = (
        train(LoadedModel(bart(), build_tokenizer()), stage,
              settings(batch_size=size, accumulation=4 // size), tmp_path / str(size))
        for size in (4, 1)
    )  # fmt: skip
    assert together.losses == pytest.approx(alone.losses, rel=1e-3)
    way = distance(weights(alone.model), start)
    assert distance(weights(together.model), weights(alone.model)) < 0.01 * way


def test_each_of_several_processes_takes_one_row_at_a_time_where_padding_is_read(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(batch_size=4, accumulation=2)
    ragged, even = np.array([7, 9]), np.array([7, 7])
    assert in_passes(bart(), ragged, config) is config
    monkeypatch.setattr(stage_module, "count", lambda: 2)
    assert in_passes(bart(), ragged, config).batch_of(2) == (1, 4)
    assert in_passes(bart(), even, config) is config
    assert in_passes(fresh(tiny_model).model, ragged, config) is config


def test_whether_padding_is_read_is_tried_out_in_the_precision_of_the_weights(
    tmp_path: Path,
) -> None:
    """What bfloat16 rounds could pass for padding that is read."""
    (stage,) = one_stage_a_task([EVERYTHING])
    loaded = with_learned_positions(build_tokenizer())
    rounded: list[bool] = []
    loaded.model.transformer.drop.register_forward_pre_hook(
        lambda drop, _: None if drop.training else rounded.append(torch.is_autocast_enabled("cpu"))
    )
    train(loaded, stage, settings(steps=1, precision="bfloat16"), tmp_path)
    assert rounded == [False, False]


def test_key_is_the_same_for_the_same_example_alone() -> None:
    example = Encoded([5, 6, 7], [False, True, True])
    assert example.key == Encoded([5, 6, 7], [False, True, True]).key
    others = [
        Encoded([5, 6, 8], [False, True, True]),
        Encoded([5, 6, 7], [True, True, True]),
        Encoded([5, 6], [False, True]),
    ]
    assert len({example.key, *(other.key for other in others)}) == 4


def test_labels_are_the_learned_tokens_but_never_the_first_of_a_row() -> None:
    rows: list[dict[str, Any]] = [
        {"example": Encoded([5, 6, 7], [True, True, True]), "replayed": False},
        {"example": Encoded([8, 9, 1, 2], [False, False, True, False]), "replayed": True},
    ]
    batch = collate(rows)
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[0, 5, 6, 7], [8, 9, 1, 2]],
        "attention_mask": [[0, 1, 1, 1], [1, 1, 1, 1]],
        "position_ids": [[0, 0, 1, 2], [0, 1, 2, 3]],
        "labels": [[IGNORED, IGNORED, 6, 7], [IGNORED, IGNORED, 1, IGNORED]],
        "replayed": [False, True],
        "keys": [row["example"].key for row in rows],
    }


def test_report_counts_what_was_learned(tiny_model: Path, tmp_path: Path) -> None:
    (stage,) = one_stage_a_task([colour_task("a", count=10)])
    config = settings(steps=None, epochs=3, batch_size=2, accumulation=2)
    trained = train(fresh(tiny_model), stage, config, tmp_path)
    report = trained.report
    assert (report.steps, report.rows, report.epochs, report.batch_size) == (8, 30, 3, 4)
    assert len(trained.losses) == 8
    assert report.first_loss == pytest.approx(trained.losses[0])
    assert report.final_loss == pytest.approx(trained.losses[-1])
    assert report.tokens == trained.schedule.tokens
    assert (report.replayed_tokens, report.replay_share) == (0, 0)
    assert report.trainable_parameters == sum(p.numel() for p in trained.model.parameters())
    assert (report.cpu_seconds or 0) > 0
    assert (report.seconds or 0) > 0
    assert json.loads(json.dumps(report.to_json()))["learning_rate"] == config.learning_rate


def test_final_loss_is_the_mean_of_the_last_tenth(tiny_model: Path, tmp_path: Path) -> None:
    (stage,) = one_stage_a_task([colour_task("a")])
    trained = train(fresh(tiny_model), stage, settings(steps=25, batch_size=1), tmp_path)
    assert trained.report.final_loss == pytest.approx(sum(trained.losses[-2:]) / 2)


def test_model_comes_back_as_it_was_but_for_its_weights(tiny_model: Path, tmp_path: Path) -> None:
    """In evaluation mode, without gradients, and with the configuration that it had."""
    loaded = fresh(tiny_model)
    before = loaded.model.config.to_dict()
    (stage,) = one_stage_a_task([colour_task("a")])
    train(loaded, stage, settings(gradient_checkpointing=True), tmp_path)
    assert not loaded.model.training
    assert all(parameter.grad is None for parameter in loaded.model.parameters())
    assert loaded.model.config.to_dict() == before


def test_training_twice_gives_the_same_bits(tiny_model: Path, tmp_path: Path) -> None:
    (stage,) = one_stage_a_task([colour_task("a")])
    first, second = (
        train(fresh(tiny_model), stage, settings(), tmp_path / str(n)) for n in range(2)
    )
    assert first.losses == second.losses
    assert differing(weights(first.model), weights(second.model)) == []


def test_dropout_has_noise_of_its_own_in_every_stage(tmp_path: Path) -> None:
    stages = one_stage_a_task([colour_task("a"), colour_task("b")])
    noise: list[torch.Tensor] = []
    for number, stage in enumerate([*stages, stages[1]]):
        loaded = with_learned_positions(build_tokenizer())
        loaded.model.transformer.drop.register_forward_pre_hook(
            lambda drop, _: noise.append(torch.get_rng_state()) if drop.training else None
        )
        train(loaded, stage, settings(steps=1), tmp_path / str(number))
    assert not noise[0].equal(noise[1])
    assert noise[1].equal(noise[2])


def test_recomputing_activations_changes_no_bit(tiny_model: Path, tmp_path: Path) -> None:
    (stage,) = one_stage_a_task([colour_task("a")])
    plain, saving = (
        train(fresh(tiny_model), stage, settings(gradient_checkpointing=on), tmp_path / str(on))
        for on in (False, True)
    )
    assert differing(weights(plain.model), weights(saving.model)) == []


def test_bfloat16_arithmetic_leaves_the_weights_in_float32(
    tiny_model: Path, tmp_path: Path
) -> None:
    (stage,) = one_stage_a_task([colour_task("a")])
    exact = train(fresh(tiny_model), stage, settings(steps=1), tmp_path / "exact")
    rounded = train(
        fresh(tiny_model), stage, settings(steps=1, precision="bfloat16"), tmp_path / "rounded"
    )
    assert {p.dtype for p in rounded.model.parameters()} == {torch.float32}
    assert rounded.losses[0] == pytest.approx(exact.losses[0], rel=0.01)
    assert rounded.losses[0] != exact.losses[0]


def test_a_model_trained_in_bfloat16_computes_in_memory_as_it_does_from_disk(
    tiny_model: Path, tmp_path: Path
) -> None:
    """The Trainer leaves its autocast on the model, which a model from disk does not have."""
    loaded = fresh(tiny_model)
    (stage,) = one_stage_a_task([colour_task("a")])
    train(loaded, stage, settings(precision="bfloat16"), tmp_path / "checkpoints")
    save_stage_model(loaded.model, loaded.tokenizer, tmp_path)
    ids = torch.arange(8).unsqueeze(0)
    with torch.no_grad():
        assert loaded.model(ids).logits.equal(load(tmp_path / "model").model(ids).logits)


def test_nothing_of_a_finished_stage_stays_in_memory(tiny_model: Path, tmp_path: Path) -> None:
    """Its rows may be millions, and the Trainer, which refers to itself, would keep them."""
    (stage,) = one_stage_a_task([colour_task("a")])
    gc.collect()
    gc.disable()
    try:
        done = train(fresh(tiny_model), stage, settings(steps=2), tmp_path)
        rows = weakref.ref(done.schedule.examples)
        del done
        assert rows() is None
    finally:
        gc.enable()


def test_one_device_is_used_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On several the Trainer would spread a batch over all, which the loss is not made for."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    config = settings(batch_size=3, precision="float32")
    arguments = training_arguments(config, 5, tmp_path, "cuda", seed=0)
    assert arguments.n_gpu == 1
    assert arguments.train_batch_size == 3


def test_training_writes_nothing_to_the_terminal(
    tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (stage,) = one_stage_a_task([colour_task("a")])
    for _ in range(2):  # writing checkpoints, then going on from the last one
        train(fresh(tiny_model), stage, settings(checkpoint_every=1), tmp_path)
    assert capfd.readouterr() == ("", "")

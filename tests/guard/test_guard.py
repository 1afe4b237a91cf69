"""A guard watches old tasks in a training, and acts when their budget is broken."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from transformers import AutoModelForSequenceClassification, Trainer, TrainerCallback
from transformers.trainer_utils import IntervalStrategy

import forgetless
from forgetless.errors import UsageError
from forgetless.evaluation.scorer import score_task
from forgetless.guard import RetentionGuard
from forgetless.methods import EMA, SFA, SI, Replay
from forgetless.methods.base import Method
from forgetless.models.load import LoadedModel
from forgetless.tasks.row import Turn
from tests.guard.build import GENTLE, RUINOUS, guarded, known_task, picks, steps
from tests.training.build import differing, exchange, fresh, make_task
from tests.training.trainers import losses, made, state_of, stock

both = pytest.mark.parametrize("kind", ["transformers", "trl"])


def prose(name: str = "prose") -> Any:
    """Plain text, scored by likelihood."""
    return make_task(name, test=exchanges("a", "b"), score="nll")


def dropping(tiny_model: Path) -> Any:
    """A model that draws random numbers at every step, for it has dropout."""
    model = fresh(tiny_model).model
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.2
    return model


def exchanges(*answers: str) -> list[Any]:
    return [exchange(n, f"say {n}", answer * 5) for n, answer in enumerate(answers)]


def kept_files(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("weights.safetensors"))


def test_a_guard_that_asked_nothing_yet_says_so(tiny_model: Path) -> None:
    guard = RetentionGuard([known_task(tiny_model)])
    assert guard.summary() == "retention: nothing was asked yet"
    assert guard.broken == ()


def test_guard_is_public() -> None:
    assert forgetless.RetentionGuard is RetentionGuard


@both
@pytest.mark.parametrize(
    "changes",
    [{}, {"gradient_accumulation_steps": 2, "bf16": True, "logging_steps": 2}],
    ids=["", "parts"],
)
def test_a_guard_that_never_acts_leaves_every_bit_as_it_was(
    kind: str, changes: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    plain, told = guarded(
        kind, tiny_model, tmp_path / "plain", None, model=dropping(tiny_model), **changes
    )
    plain.train()
    tasks = [known_task(tiny_model), prose()]
    guard = RetentionGuard(tasks, every=1, on_break="rollback", budget={})
    watched, heard = guarded(
        kind, tiny_model, tmp_path / "watched", guard, model=dropping(tiny_model), **changes
    )
    watched.train()
    assert differing(state_of(watched), state_of(plain)) == []
    assert losses(watched) == losses(plain)
    lines = [logs for _, logs in heard.logs if "loss" in logs]
    assert lines == [logs for _, logs in told.logs if "loss" in logs]  # SFTTrainer's averages too
    assert steps(guard) == list(range(plain.state.global_step + 1))


def test_asking_draws_no_random_numbers_and_leaves_modes_as_they_were(
    tiny_model: Path, tmp_path: Path
) -> None:
    class Compare(TrainerCallback):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def look(self, model: Any) -> None:
            self.seen.append(
                (
                    torch.get_rng_state().tolist(),
                    random.getstate(),
                    np.random.get_state()[1].tolist(),  # type: ignore[index]
                    [module.training for module in model.modules()],
                    "forward" in vars(model),
                )
            )

    class Before(Compare):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            kwargs["model"].lm_head.eval()  # someone's own mode
            self.look(kwargs["model"])

    class After(Compare):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            self.look(kwargs["model"])

    before, after = Before(), After()
    guard = RetentionGuard([known_task(tiny_model)], every=1)
    trainer = made(
        "transformers", tiny_model, tmp_path, callbacks=[before, guard, after], bf16=True
    )
    trainer.train()
    assert len(before.seen) == 6
    assert before.seen == after.seen
    assert before.seen[0][4]  # there was an autocast to be set aside


@both
def test_checks_come_before_the_first_step_every_so_many_and_at_the_end(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    guard = RetentionGuard([known_task(tiny_model)], every=4)
    trainer, _ = guarded(kind, tiny_model, tmp_path, guard, gradient_accumulation_steps=1, **GENTLE)
    trainer.train()
    assert trainer.state.global_step == 6
    assert steps(guard) == [0, 4, 6]
    assert guard.history[0].score("known") == 1.0
    assert set(guard.history[0].cells["known"].scores) == {str(n) for n in range(40)}


def test_items_are_scored_as_on_the_model_from_disk_whatever_the_training_arithmetic(
    tiny_model: Path, tmp_path: Path
) -> None:
    guard = RetentionGuard([prose()], every=100, batch_size=8)
    trainer, _ = guarded("transformers", tiny_model, tmp_path, guard, bf16=True)
    trainer.train()
    expected = {
        r.item: r.score for results in score_task(fresh(tiny_model), prose(), 8) for r in results
    }
    assert guard.history[0].cells["prose"].scores == expected


def test_dropout_is_off_while_the_model_is_asked(tiny_model: Path, tmp_path: Path) -> None:
    guard = RetentionGuard([prose()], every=100, batch_size=8)
    model = dropping(tiny_model)
    trainer, _ = guarded("transformers", tiny_model, tmp_path, guard, model=model)
    trainer.train()
    loaded = LoadedModel(trainer.model.eval(), trainer.processing_class)
    expected = {r.item: r.score for results in score_task(loaded, prose(), 8) for r in results}
    assert guard.history[-1].cells["prose"].scores == expected


@both
def test_figures_reach_other_callbacks_and_the_log_history(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    guard = RetentionGuard([known_task(tiny_model), prose()], every=3)
    trainer, heard = guarded(kind, tiny_model, tmp_path, guard, **RUINOUS)
    trainer.train()
    lines = heard.retention()
    assert [step for step, _ in lines] == [0, 3, 6]
    for (_, logs), check in zip(lines, guard.history, strict=True):
        score, nats = check.score("known"), check.score("prose")
        assert score is not None
        assert nats is not None
        assert logs["retention/known"] == score
        assert logs["retention/known_change"] == pytest.approx(score - 1.0)
        assert logs["retention/prose"] == nats
        assert logs["retention/worst_loss"] == pytest.approx(1.0 - score)  # nats are no share
        assert set(logs) == {
            *("retention/known", "retention/known_change", "retention/prose"),
            *("retention/prose_change", "retention/worst_loss", "epoch", "retention/broken"),
        }
    history = [line for line in trainer.state.log_history if "retention/known" in line]
    assert [line["step"] for line in history] == [0, 3, 6]
    assert len(losses(trainer)) == 6  # lines of the trainer that were due still came


@both
def test_a_collapse_is_seen_and_stops_training_at_its_step(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    guard = RetentionGuard([known_task(tiny_model)], every=2, on_break="stop")
    trainer, _ = guarded(kind, tiny_model, tmp_path, guard, num_train_epochs=20, **RUINOUS)
    trainer.train()
    assert guard.stopped_at == trainer.state.global_step == 2
    assert guard.broken == ("known",)
    assert steps(guard) == [0, 2]
    assert "stopped at step 2" in guard.summary()
    assert "BROKEN" in guard.summary()


def test_a_task_that_is_guessed_before_training_is_said_to_be_at_floor(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = known_task(tiny_model)
    rows = [replace(row, answer=row.choices[n % 4]) for n, row in enumerate(known.test)]
    guessed = make_task("guessed", test=rows, score="multiple_choice")
    guard = RetentionGuard([known, guessed], every=4, budget=0.05)
    trainer, _ = guarded("transformers", tiny_model, tmp_path, guard, **GENTLE)
    trainer.train()
    said = [line for line in guard.summary().splitlines() if "at floor" in line]
    assert len(said) == 1
    assert said[0].startswith("guessed is at floor: ")
    assert "guessing scores 0.25" in said[0]
    assert f"retention: {said[0]}" in caplog.messages


def test_items_that_could_not_be_asked_before_training_are_told(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = known_task(tiny_model)
    long = [replace(row, prompt=(Turn("user", "long " * 400),)) for row in known.test[3:]]
    guard = RetentionGuard([replace(known, test=(*known.test[:3], *long))], every=100)
    trainer, _ = guarded("transformers", tiny_model, tmp_path, guard, max_steps=1)
    trainer.train()
    assert "37 of 40 items of known are not watched: " in guard.summary()
    assert "37 of 40 items of known are not watched: " in caplog.text


def test_only_logging_lets_a_collapse_go_on(tiny_model: Path, tmp_path: Path) -> None:
    guard = RetentionGuard([known_task(tiny_model)], every=2)
    trainer, _ = guarded("transformers", tiny_model, tmp_path, guard, **RUINOUS)
    trainer.train()
    assert trainer.state.global_step == 6
    assert guard.broken == ("known",)
    assert guard.stopped_at is None


def test_patience_waits_for_breaks_in_a_row(tiny_model: Path, tmp_path: Path) -> None:
    guard = RetentionGuard([known_task(tiny_model)], every=1, on_break="stop", patience=3)
    trainer, _ = guarded("transformers", tiny_model, tmp_path, guard, **RUINOUS)
    trainer.train()
    broken = [check.step for check in guard.history if check.broken]
    assert trainer.state.global_step == guard.stopped_at
    assert guard.stopped_at is not None
    assert broken[-3:] == [guard.stopped_at - 2, guard.stopped_at - 1, guard.stopped_at]


def test_a_task_without_a_budget_is_only_watched(tiny_model: Path, tmp_path: Path) -> None:
    tasks = [known_task(tiny_model), known_task(tiny_model, "other")]
    guard = RetentionGuard(tasks, every=2, on_break="stop", budget={"other": 0.99})
    trainer, heard = guarded("transformers", tiny_model, tmp_path, guard, **RUINOUS)
    trainer.train()
    assert trainer.state.global_step == 6
    assert heard.retention()[-1][1]["retention/known_change"] < -0.2
    assert "watched" in guard.summary()


class Weights(TrainerCallback):
    """Copies of the trainable weights at every step."""

    def __init__(self) -> None:
        self.at: dict[int, dict[str, torch.Tensor]] = {}

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.on_step_end(args, state, control, **kwargs)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        named = kwargs["model"].named_parameters()
        self.at[state.global_step] = {n: p.detach().clone() for n, p in named}


class RuinFrom(TrainerCallback):
    """A rate at which training destroys, from some step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for group in kwargs["optimizer"].param_groups:
            group["lr"] = 0.3 if state.global_step >= self.step else 1e-6


@both
def test_rollback_puts_back_the_very_tensors_of_the_last_check_within_budget(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    guard, seen = RetentionGuard([known_task(tiny_model)], every=2, on_break="rollback"), Weights()
    trainer = made(
        kind, tiny_model, tmp_path, callbacks=[seen, RuinFrom(4), guard], num_train_epochs=20
    )
    trainer.train()
    assert trainer.state.global_step == 6
    assert (guard.stopped_at, guard.rolled_back_to) == (6, 4)
    assert differing(state_of(trainer), seen.at[4]) == []
    assert differing(seen.at[6], seen.at[4]) != []
    assert trainer.state.log_history[-1]["retention/rolled_back_to"] == 4
    assert kept_files(tmp_path) == []  # nothing refers to them any more
    assert "weights of step 4 again" in guard.summary()
    task = known_task(tiny_model)
    trainer.model.eval()
    loaded = fresh(tiny_model)
    loaded.model = trainer.model
    now = picks(loaded, task)
    assert all(now[row.id] == row.answer for row in task.test)


def test_a_break_at_the_last_step_is_rolled_back_without_patience(
    tiny_model: Path, tmp_path: Path
) -> None:
    guard = RetentionGuard([known_task(tiny_model)], every=100, on_break="rollback", patience=5)
    trainer, _ = guarded("transformers", tiny_model, tmp_path, guard, **RUINOUS)
    start = state_of(trainer)
    trainer.train()
    assert steps(guard) == [0, 6]
    assert (guard.stopped_at, guard.rolled_back_to) == (None, 0)
    assert differing(state_of(trainer), start) == []


def test_rollback_of_an_adapter_leaves_the_base_alone(tiny_model: Path, tmp_path: Path) -> None:
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj", "up_proj"], lora_dropout=0.1)
    model = peft.get_peft_model(fresh(tiny_model).model, config)
    guard, seen = RetentionGuard([known_task(tiny_model)], every=2, on_break="rollback"), Weights()
    trainer = made(
        "transformers",
        tiny_model,
        tmp_path,
        model=model,
        callbacks=[seen, RuinFrom(2), guard],
        num_train_epochs=10,
    )
    trainer.train()
    assert guard.rolled_back_to is not None
    assert trainer.state.global_step < 30
    assert differing(state_of(trainer), seen.at[guard.rolled_back_to]) == []


class Turns(TrainerCallback):
    """Trains one layer at a time, as some do to save memory."""

    def __init__(self, layers: list[int]) -> None:
        self._layers = layers

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for number, layer in enumerate(kwargs["model"].model.layers):
            layer.requires_grad_(number == self._layers[state.global_step])


@pytest.mark.parametrize("layers", [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0]], ids=str)
def test_layers_that_are_trained_in_turns_are_all_rolled_back(
    layers: list[int], tiny_model: Path, tmp_path: Path
) -> None:
    guard, seen = RetentionGuard([known_task(tiny_model)], every=2, on_break="rollback"), Weights()
    callbacks = [Turns(layers), seen, RuinFrom(2), guard]
    trainer = made("transformers", tiny_model, tmp_path, callbacks=callbacks)
    trainer.train()
    assert guard.rolled_back_to == 2
    assert differing(state_of(trainer), seen.at[2]) == []


def test_weights_that_came_to_be_trained_since_are_not_rolled_back_in_part(
    tiny_model: Path, tmp_path: Path
) -> None:
    class Unfreeze(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 2:
                norm = kwargs["model"].model.norm.weight.requires_grad_(True)
                kwargs["optimizer"].param_groups[0]["params"].append(norm)

    model = fresh(tiny_model).model
    model.model.norm.weight.requires_grad_(False)
    guard, seen = RetentionGuard([known_task(tiny_model)], every=2, on_break="rollback"), Weights()
    callbacks = [Unfreeze(), RuinFrom(2), guard, seen]
    trainer = made("transformers", tiny_model, tmp_path, model=model, callbacks=callbacks)
    with pytest.raises(UsageError, match=r"step 2 cannot be put back: model.norm"):
        trainer.train()
    assert differing(state_of(trainer), seen.at[trainer.state.global_step]) == []


def test_trl_makes_the_adapter_itself(tiny_model: Path, tmp_path: Path) -> None:
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    guard = RetentionGuard([known_task(tiny_model)], every=2)
    trainer, heard = guarded("trl", tiny_model, tmp_path, guard, peft_config=config, **GENTLE)
    trainer.train()
    assert guard.history[0].score("known") == 1.0
    assert len(heard.retention()) == 4


def test_a_protected_trainer_is_guarded_too(tiny_model: Path, tmp_path: Path) -> None:
    guard = RetentionGuard([known_task(tiny_model)], every=2, on_break="rollback")
    trainer, _ = guarded("transformers", tiny_model, tmp_path, guard, **RUINOUS)
    start = state_of(trainer)
    forgetless.protect(trainer, [Replay(ratio=0.2)])
    trainer.train()
    assert guard.rolled_back_to == 0
    assert differing(state_of(trainer), start) == []
    trainer.protection.end_stage()


def test_a_nan_is_a_break_and_not_a_score(tiny_model: Path, tmp_path: Path) -> None:
    class Poison(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            with torch.no_grad():
                kwargs["model"].model.norm.weight.fill_(torch.nan)

    guard = RetentionGuard([known_task(tiny_model)], every=1, on_break="rollback")
    trainer = made("transformers", tiny_model, tmp_path, callbacks=[Poison(), guard])
    trainer.train()
    assert guard.stopped_at == 1
    assert guard.history[-1].score("known") is None
    assert guard.rolled_back_to == 0
    assert all(tensor.isfinite().all() for tensor in state_of(trainer).values())
    told = next(line for line in trainer.state.log_history if line["step"] == 1)
    assert told == {"retention/broken": 1.0, "epoch": pytest.approx(1 / 3), "step": 1}


class Interrupt(TrainerCallback):
    """Breaks a training off after its third step, once."""

    armed = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.armed and state.global_step == 3:
            self.armed = False
            raise KeyboardInterrupt


def test_a_training_begun_anew_is_rolled_back_to_the_last_good_weights_before_it(
    tiny_model: Path, tmp_path: Path
) -> None:
    guard, seen, ruin = (
        RetentionGuard([known_task(tiny_model)], every=2, on_break="rollback"),
        Weights(),
        RuinFrom(99),
    )
    callbacks = [ruin, guard, seen, Interrupt()]
    trainer = made("transformers", tiny_model, tmp_path, callbacks=callbacks)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    good = seen.at[2]
    ruin.step = 0
    trainer.train()
    assert guard.stopped_at == 2
    assert guard.rolled_back_to == 2
    assert "has the weights of step 2 of the attempt before again" in guard.summary()
    assert differing(state_of(trainer), good) == []


def test_a_training_begun_anew_where_the_last_good_weights_are_not_is_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    loaded = fresh(tiny_model)
    guard = RetentionGuard([known_task(tiny_model)], every=2, on_break="rollback")
    callbacks = [RuinFrom(99), guard, Interrupt()]
    with pytest.raises(KeyboardInterrupt):
        stock(tmp_path / "one", loaded.model, loaded.tokenizer, callbacks=callbacks).train()
    other = stock(tmp_path / "two", loaded.model, loaded.tokenizer, callbacks=[guard], **RUINOUS)
    before = state_of(other)
    with pytest.raises(UsageError, match=r"two.* is not there; .* is that of step 2") as caught:
        other.train()
    assert "in the trainer's output_dir" in str(caught.value.fix)
    assert differing(state_of(other), before) == []  # told before the first step


def test_a_training_begun_anew_on_the_same_model_keeps_its_row_0(
    tiny_model: Path, tmp_path: Path
) -> None:
    guard = RetentionGuard([known_task(tiny_model)], every=2)
    trainer = made("transformers", tiny_model, tmp_path, callbacks=[guard, Interrupt()], **RUINOUS)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    first = guard.history[0]
    trainer.train()
    assert guard.history[0] is first
    trainer.train()  # the one before came to its end: this is another, from another model
    assert guard.history[0] is not first
    assert guard.history[0].score("known") != 1.0


def test_the_best_model_loaded_at_the_end_is_asked_too(tiny_model: Path, tmp_path: Path) -> None:
    guard = RetentionGuard([known_task(tiny_model)], every=100)
    trainer, _ = guarded(
        *("transformers", tiny_model, tmp_path, guard),
        **{"save_strategy": "steps", "save_steps": 1, **RUINOUS},
    )
    trainer.eval_dataset = trainer.train_dataset
    trainer.args.eval_strategy, trainer.args.eval_steps = IntervalStrategy.STEPS, 1
    trainer.args.metric_for_best_model, trainer.args.greater_is_better = "eval_loss", False
    trainer.args.load_best_model_at_end = True
    trainer.train()
    assert trainer.state.best_global_step != 6
    assert steps(guard) == [0, 6, 6]
    assert guard.history[1].cells != guard.history[2].cells


class TestRefusals:
    def test_best_model_and_rollback_exclude_each_other(
        self, tiny_model: Path, tmp_path: Path
    ) -> None:
        guard = RetentionGuard([known_task(tiny_model)], on_break="rollback")
        trainer, _ = guarded("transformers", tiny_model, tmp_path, guard)
        trainer.args.load_best_model_at_end = True
        with pytest.raises(UsageError, match="load_best_model_at_end"):
            trainer.train()

    def test_two_rollbacks_exclude_each_other(self, tiny_model: Path, tmp_path: Path) -> None:
        one, other = (
            RetentionGuard([known_task(tiny_model, name)], on_break="rollback") for name in "ab"
        )
        with pytest.raises(UsageError, match="two guards with on_break='rollback'"):
            made("transformers", tiny_model, tmp_path, callbacks=[one, other])

    @pytest.mark.parametrize("method", [EMA(decay=0.5), SFA(), SI()], ids=lambda m: m.name)
    def test_what_a_method_took_from_the_steps_outlives_a_rollback(
        self, method: Method[Any], tiny_model: Path, tmp_path: Path
    ) -> None:
        guard = RetentionGuard([known_task(tiny_model)], on_break="rollback")
        trainer, _ = guarded("transformers", tiny_model, tmp_path, guard)
        forgetless.protect(trainer, [method])
        with pytest.raises(UsageError, match=f"and {method.name} exclude each other"):
            trainer.train()

    def test_a_tokenizer_is_needed(self, tiny_model: Path, tmp_path: Path) -> None:
        loaded = fresh(tiny_model)
        guard = RetentionGuard([known_task(tiny_model)])
        trainer = made("transformers", tiny_model, tmp_path)
        trainer.processing_class = None
        trainer.add_callback(guard)
        with pytest.raises(UsageError, match=r"tokenizer=tokenizer"):
            trainer.train()
        given = RetentionGuard([known_task(tiny_model)], tokenizer=loaded.tokenizer)
        trainer.pop_callback(guard)
        trainer.add_callback(given)
        trainer.train()
        assert len(given.history) == 2

    @pytest.mark.parametrize("engine", ["is_fsdp_enabled", "is_deepspeed_enabled"])
    def test_sharded_weights_are_refused_at_once(
        self, engine: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made_up = Trainer.create_accelerator_and_postprocess

        def sharded(trainer: Any) -> None:
            made_up(trainer)
            setattr(trainer, engine, True)

        monkeypatch.setattr(Trainer, "create_accelerator_and_postprocess", sharded)
        guard = RetentionGuard([known_task(tiny_model)])
        with pytest.raises(UsageError, match="sharded"):
            made("transformers", tiny_model, tmp_path, callbacks=[guard])

    def test_a_model_that_writes_no_text_is_refused(self, tiny_model: Path, tmp_path: Path) -> None:
        classes = AutoModelForSequenceClassification.from_pretrained(tiny_model)
        guard = RetentionGuard([known_task(tiny_model)])
        with pytest.raises(UsageError) as caught:
            made("transformers", tiny_model, tmp_path, model=classes, callbacks=[guard])
        assert caught.value.message == (
            "RetentionGuard asks causal language models, found LlamaForSequenceClassification"
        )

    def test_events_without_a_trainer_are_refused(self, tiny_model: Path) -> None:
        guard = RetentionGuard([known_task(tiny_model)])
        with pytest.raises(UsageError, match=r"transformers\.Trainer"):
            guard.on_train_begin(None, None, None)

    def test_a_task_of_which_no_item_can_be_asked(self, tiny_model: Path, tmp_path: Path) -> None:
        long = make_task("long", test=[exchange(0, "x" * 2000, "y")])
        trainer, _ = guarded("transformers", tiny_model, tmp_path, RetentionGuard([long]))
        with pytest.raises(UsageError, match="more than the model's context"):
            trainer.train()

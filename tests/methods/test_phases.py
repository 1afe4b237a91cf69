"""What each phase does to the optimiser step, against analytic gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.methods.base import Method, State
from forgetless.methods.batch import Batch
from forgetless.methods.compose import Compose
from forgetless.methods.parts.pulls import pull_towards
from forgetless.methods.stage import Stage, Workbench
from tests.methods.probes import Anchor, Calm, NoConfig, StrengthConfig
from tests.training.build import (
    Weights,
    adapt,
    colour_task,
    differing,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
)

STAGE = one_stage_a_task([colour_task("first")])[0]
SPLITS = pytest.mark.parametrize(("size", "accumulation"), [(8, 1), (2, 4)])


class Capture(Method[NoConfig]):
    """Keeps the final gradients and the weights before each step."""

    name = "capture"
    Config = NoConfig

    def __init__(self) -> None:
        super().__init__(NoConfig())
        self.gradients: list[Weights] = []
        self.before: list[Weights] = []
        self.after: list[Weights] = []

    def before_step(self, model: Any) -> None:
        self.gradients.append({n: p.grad.clone() for n, p in model.named_parameters()})
        self.before.append(weights(model))

    def after_step(self, model: Any) -> None:
        self.after.append(weights(model))


class Constant(Method[NoConfig]):
    """Adds 0.25 nats per learned token, whatever the token."""

    name = "constant"
    Config = NoConfig

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        learned = (batch.targets != -100).sum()
        return 0.25 * learned / batch.learned_tokens


class Poison(Method[NoConfig]):
    """Changes the gradient to something that is easily told."""

    name = "poison"
    Config = NoConfig

    def change_gradient(self, model: Any) -> None:
        for parameter in model.parameters():
            parameter.grad.fill_(1.0)


def captured(
    model: Path, folder: Path, methods: list[Method[Any]], **config: Any
) -> tuple[Capture, float]:
    """The gradients of a short training, and the loss of its first step."""
    capture = Capture()
    composed = Compose([*methods, capture])
    trained = train(fresh(model), STAGE, settings(**config), folder, composed)
    return capture, trained.losses[0]


def anchored(model: Path, strength: float) -> Anchor:
    """A pull towards weights that are a little off."""
    anchor = Anchor(StrengthConfig(strength=strength))
    generator = torch.Generator().manual_seed(1)
    start = weights(fresh(model).model)
    anchor.restore(
        State(
            {
                f"anchor/{name}": value + 0.01 * torch.randn(value.shape, generator=generator)
                for name, value in start.items()
            }
        )
    )
    return anchor


@SPLITS
def test_pull_adds_strength_times_importance_times_drift_after_clipping(
    size: int, accumulation: int, tiny_model: Path, tmp_path: Path
) -> None:
    config: dict[str, Any] = {
        "batch_size": size,
        "accumulation": accumulation,
        "max_grad_norm": 0.01,
    }
    anchor = anchored(tiny_model, strength=3.0)
    pulled, _ = captured(tiny_model, tmp_path / "pulled", [anchor], **config)
    free, _ = captured(tiny_model, tmp_path / "free", [], **config)
    clipped = sum(float(g.square().sum()) for g in free.gradients[0].values()) ** 0.5
    assert clipped == pytest.approx(0.01, rel=1e-3)
    largest = 0.0
    for name, start in pulled.before[0].items():
        analytic = 3.0 * anchor.importances[name] * (start - anchor.anchors[name])
        added = pulled.gradients[0][name] - free.gradients[0][name]
        torch.testing.assert_close(added, analytic, rtol=1e-4, atol=1e-7)
        largest = max(largest, float(analytic.abs().max()))
    assert largest > 0.01  # far more than clipping would have left of it


def test_pull_is_anew_in_every_step_and_does_not_pile_up(tiny_model: Path, tmp_path: Path) -> None:
    """The gradient of the data is known, so the rest is the pull at the weights of that step."""
    anchor = anchored(tiny_model, strength=3.0)
    found, _ = captured(tiny_model, tmp_path, [anchor, Poison(NoConfig())], max_grad_norm=0)
    assert len(found.gradients) == 4
    for gradients, before in zip(found.gradients, found.before, strict=True):
        for name, gradient in gradients.items():
            analytic = 1.0 + 3.0 * anchor.importances[name] * (before[name] - anchor.anchors[name])
            torch.testing.assert_close(gradient, analytic)


def test_norm_of_the_pull_is_over_all_parameters() -> None:
    model = torch.nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2.0]]))
        model.bias.copy_(torch.tensor([3.0]))
    model.weight.grad = torch.ones(1, 2)
    anchors = {"weight": torch.zeros(1, 2), "bias": torch.tensor([2.0])}
    importances = {"weight": torch.tensor([[1.0, 0.5]]), "bias": torch.ones(1)}
    assert pull_towards(model, 2.0, anchors, importances) == pytest.approx(2**2 + 2**2 + 2**2)
    assert model.weight.grad.tolist() == [[3.0, 3.0]]
    assert model.bias.grad is not None  # it had none before
    assert model.bias.grad.tolist() == [2.0]


def test_weight_that_is_not_trained_is_not_pulled() -> None:
    model = torch.nn.Linear(1, 1)
    model.bias.requires_grad_(False)
    anchors = {name: torch.full_like(value, 7.0) for name, value in weights(model).items()}
    pull_towards(model, 1.0, anchors)
    assert model.weight.grad is not None
    assert model.bias.grad is None


def test_pulls_of_two_methods_add_up(tiny_model: Path) -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    for _ in range(2):
        pull_towards(model, 2.0, {"weight": torch.zeros(1, 1)})
    assert model.weight.grad is not None
    assert model.weight.grad.item() == 4.0


@SPLITS
def test_loss_term_is_added_once_per_learned_token(
    size: int, accumulation: int, tiny_model: Path, tmp_path: Path
) -> None:
    config = {"batch_size": size, "accumulation": accumulation, "steps": 1}
    _, without = captured(tiny_model, tmp_path / "without", [], **config)
    _, with_term = captured(tiny_model, tmp_path / "with", [Constant(NoConfig())], **config)
    assert with_term - without == pytest.approx(0.25, abs=1e-5)


@SPLITS
def test_gradient_of_a_loss_term_is_that_of_its_formula(
    size: int, accumulation: int, tiny_model: Path, tmp_path: Path
) -> None:
    config = {"batch_size": size, "accumulation": accumulation, "steps": 1, "max_grad_norm": 0}
    calm = Calm(StrengthConfig(strength=0.2))
    added, _ = captured(tiny_model, tmp_path / "with", [calm], **config)
    plain, _ = captured(tiny_model, tmp_path / "without", [], **config)

    loaded = fresh(tiny_model)
    schedule = train(fresh(tiny_model), STAGE, settings(**config), tmp_path / "again").schedule
    squares = []
    for index in schedule.order.tolist():
        example = schedule.examples[index]
        logits = loaded.model(input_ids=torch.tensor([example.ids])).logits[0, :-1]
        learned = torch.tensor(example.learned[1:])
        squares.append(logits.logsumexp(-1).square()[learned])
    torch.autograd.backward(0.2 * torch.cat(squares).mean())
    for name, parameter in loaded.model.named_parameters():
        difference = added.gradients[0][name] - plain.gradients[0][name]
        torch.testing.assert_close(difference, parameter.grad, rtol=1e-3, atol=1e-6)


def test_changed_gradient_is_what_is_clipped(tiny_model: Path, tmp_path: Path) -> None:
    found, _ = captured(tiny_model, tmp_path, [Poison(NoConfig())], steps=1, max_grad_norm=0.5)
    entries = torch.cat([g.flatten() for g in found.gradients[0].values()])
    torch.testing.assert_close(entries, torch.full_like(entries, 0.5 / len(entries) ** 0.5))


@SPLITS
def test_gradient_is_whole_when_methods_see_it(
    size: int, accumulation: int, tiny_model: Path, tmp_path: Path
) -> None:
    """It is the gradient of the mean over the learned tokens of all forward passes of the step."""
    config = {"batch_size": size, "accumulation": accumulation, "steps": 1, "max_grad_norm": 0}
    found, _ = captured(tiny_model, tmp_path / "found", [], **config)
    one, _ = captured(tiny_model, tmp_path / "one", [], **{**config, "batch_size": 8,
                                                          "accumulation": 1})  # fmt: skip
    for name, gradient in one.gradients[0].items():
        torch.testing.assert_close(found.gradients[0][name], gradient, rtol=1e-3, atol=1e-6)


def test_update_phase_stands_just_before_and_after_the_weights_move(
    tiny_model: Path, tmp_path: Path
) -> None:
    found, _ = captured(tiny_model, tmp_path, [])
    start = weights(fresh(tiny_model).model)
    assert differing(found.before[0], start) == []
    for before, after in zip(found.before, found.after, strict=True):
        assert len(differing(before, after)) == len(start)
    for after, before in zip(found.after[:-1], found.before[1:], strict=True):
        assert differing(after, before) == []


def test_what_is_adapted_at_random_depends_on_the_stage_seed_alone(tiny_model: Path) -> None:
    class Draws(Method[NoConfig]):
        name = "draws"
        Config = NoConfig

        def adapt(self, bench: Workbench) -> None:
            bench.model.bias.data = torch.rand(1)

    def drawn(stage: Stage) -> float:
        return float(adapt(methods, torch.nn.Linear(1, 1), stage).bias.detach())

    methods = Compose([Draws(NoConfig())])
    first = drawn(STAGE)
    torch.manual_seed(1)
    model = torch.nn.Linear(1, 1)
    state = torch.get_rng_state()
    assert float(adapt(methods, model, STAGE).bias.detach()) == first
    assert torch.get_rng_state().equal(state)  # nothing outside notices
    assert drawn(one_stage_a_task([colour_task("x")], seed=1)[0]) != first

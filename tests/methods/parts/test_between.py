from __future__ import annotations

import pytest
import torch

from forgetless.methods.parts.between import (
    adapter_factors,
    between_products,
    move_between,
)
from forgetless.methods.parts.reference import trained_values
from tests.training.build import differing, weights


class Adapted(torch.nn.Module):
    """A weight that is trained, one that is not, and the two factors of an adapter."""

    def __init__(self, rank: int = 2, size: tuple[int, int] = (5, 7)) -> None:
        super().__init__()
        out, into = size
        self.plain = torch.nn.Parameter(torch.randn(3))
        self.frozen = torch.nn.Parameter(torch.randn(3), requires_grad=False)
        factors = {"A": torch.nn.Linear(into, rank, bias=False)}
        factors |= {"B": torch.nn.Linear(rank, out, bias=False)}
        self.block = torch.nn.ModuleDict(
            {f"lora_{side}": torch.nn.ModuleDict({"default": f}) for side, f in factors.items()}
        )

    @property
    def product(self) -> torch.Tensor:
        found = weights(self)
        return found[UP] @ found[DOWN]


DOWN, UP = "block.lora_A.default.weight", "block.lora_B.default.weight"


def random_like(found: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(t.shape, generator=generator) for name, t in found.items()}


def ends(model: torch.nn.Module) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    here = trained_values(model)
    return random_like(here, 1), random_like(here, 2)


def of_rank(rank: int, rows: int, columns: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors b and a with room for rank 4, of which so many are used."""
    generator = torch.Generator().manual_seed(seed)
    b = torch.randn(rows, 4, generator=generator)
    b[:, rank:] = 0
    return b, torch.randn(4, columns, generator=generator)


@pytest.mark.parametrize(("alpha", "end"), [(0, 0), (1, 1), (0.0, 0), (1.0, 1)])
def test_ends_are_copied_bit_for_bit(alpha: float, end: int) -> None:
    model = Adapted()
    state = ends(model)
    for which, zero in zip(state, (-0.0, 1e-45), strict=True):
        which["plain"][0] = zero
    move_between(model, *state, alpha)
    for name, value in trained_values(model).items():
        assert value.view(torch.int32).equal(state[end][name].view(torch.int32)), name


def test_weights_are_the_weighted_mean_and_others_stay() -> None:
    model = Adapted()
    frozen = model.frozen.detach().clone()
    before, after = ends(model)
    before["plain"], after["plain"] = torch.tensor([0.0, 1, 2]), torch.tensor([4.0, 1, -2])
    move_between(model, before, after, 0.25)
    assert model.plain.tolist() == [1, 1, 1]
    assert model.frozen.equal(frozen)


@pytest.mark.parametrize("alpha", [0, 0.3, 1])
def test_model_itself_can_be_the_end(alpha: float) -> None:
    one, other = Adapted(), Adapted()
    before, after = ends(one)
    move_between(one, before, after, alpha)
    other.load_state_dict(after, strict=False)
    move_between(other, before, dict(other.named_parameters()), alpha)
    assert differing(trained_values(one), trained_values(other)) == []


def test_half_precision_is_averaged_in_full_and_rounded_once() -> None:
    model = Adapted().to(torch.bfloat16)
    generator = torch.Generator().manual_seed(1)
    before, after = (
        {
            n: torch.randn(t.shape, generator=generator).bfloat16()
            for n, t in trained_values(model).items()
        }
        for _ in range(2)
    )
    move_between(model, before, after, 0.3)
    exact = 0.7 * before["plain"].double() + 0.3 * after["plain"].double()
    assert model.plain.dtype == torch.bfloat16
    assert model.plain.detach().equal(exact.float().bfloat16())
    assert all(p.dtype == torch.bfloat16 for p in model.parameters())


def test_adapter_is_averaged_in_what_it_adds_to_the_weight() -> None:
    """Rank 4 holds two changes of rank 2, so that nothing is cut off."""
    (b0, a0), (b1, a1) = of_rank(2, 6, 9, seed=1), of_rank(2, 6, 9, seed=2)
    model = Adapted(rank=4, size=(6, 9))
    before, after = ({"plain": torch.zeros(3), UP: b, DOWN: a} for b, a in ((b0, a0), (b1, a1)))
    move_between(model, before, after, 0.3)
    torch.testing.assert_close(model.product, 0.7 * b0 @ a0 + 0.3 * b1 @ a1)
    apart = (0.7 * b0 + 0.3 * b1) @ (0.7 * a0 + 0.3 * a1)
    assert not torch.allclose(model.product, apart, atol=0.1)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_cut_to_its_rank_it_is_the_nearest_there_is(alpha: float) -> None:
    (b0, a0), (b1, a1) = of_rank(4, 12, 20, seed=1), of_rank(4, 12, 20, seed=2)
    whole = (1 - alpha) * b0 @ a0 + alpha * b1 @ a1
    u, s, v = torch.linalg.svd(whole.double())
    nearest = (u[:, :4] * s[:4] @ v[:4]).float()
    b, a = between_products(b0, a0, b1, a1, alpha)
    torch.testing.assert_close(b @ a, nearest, rtol=1e-4, atol=1e-4)
    apart = ((1 - alpha) * b0 + alpha * b1) @ ((1 - alpha) * a0 + alpha * a1)
    assert torch.dist(b @ a, whole) < torch.dist(apart, whole)


def test_adapter_that_started_at_zero_is_scaled() -> None:
    b1, a1 = of_rank(4, 6, 9, seed=2)
    b, a = between_products(torch.zeros(6, 4), torch.randn(4, 9), b1, a1, 0.3)
    assert b.equal(0.3 * b1)
    assert a.equal(a1)


def test_merged_factors_are_shaped_like_a_new_adapter() -> None:
    """Else directions with a small singular value would hardly be trained in the next stage."""
    (b0, a0), (b1, a1) = of_rank(4, 12, 20, seed=1), of_rank(4, 12, 20, seed=2)
    _, a = between_products(b0, a0, b1, a1, 0.5)
    torch.testing.assert_close(a.norm(dim=1), torch.full((4,), float(a1.norm()) / 2))


def test_rank_above_that_of_the_layer_is_filled_with_zeros() -> None:
    (b0, a0), (b1, a1) = of_rank(4, 3, 9, seed=1), of_rank(4, 3, 9, seed=2)
    b, a = between_products(b0, a0, b1, a1, 0.5)
    assert (b.shape, a.shape) == (b1.shape, a1.shape)
    torch.testing.assert_close(b @ a, 0.5 * b0 @ a0 + 0.5 * b1 @ a1)


def test_factors_are_paired_by_name_where_both_are_there() -> None:
    names = [
        *("m.q.lora_B.default.weight", "m.q.lora_A.default.weight"),
        *("m.e.lora_embedding_A.default", "m.e.lora_embedding_B.default"),
        *("m.k.lora_A.default.weight", "m.v.lora_B.default.weight"),
        *("m.plain_A.weight", "m.plain_B.weight"),
    ]
    assert adapter_factors(names) == [(names[2], names[3]), (names[1], names[0])]

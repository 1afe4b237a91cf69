"""What a model predicted, kept for later: top-k log-probabilities and the mass of all the rest.

Predictions belong to the learned positions of an example, and are found again by the example's key,
in whatever order, epoch or stage it turns up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forgetless.methods.batch import IGNORED, Batch
from forgetless.methods.parts.passes import passes
from forgetless.tasks.examples import Examples

if TYPE_CHECKING:
    import torch

    Terms = Callable[[torch.Tensor, slice], tuple[torch.Tensor, torch.Tensor]]

# Logits worked on at once: they bound the memory of a divergence, not its result.
ENTRIES_AT_ONCE = {"cpu": 1 << 17, "other": 1 << 22}  # what a core's cache holds; few kernels


def divergence(
    student: torch.Tensor, teacher: torch.Tensor, *, forward: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Kullback-Leibler divergence of two distributions, summed over positions, in nats.

    With p = softmax(teacher), q = softmax(student) and r = student - teacher:

    * forward: KL(p || q) = sum of p (log p - log q); its gradient by ``student`` is q - p;
    * reverse: KL(q || p) = sum of q (log q - log p); its gradient is q (r - sum of q r).

    Args:
        student: Logits in float32, shape (positions, classes).
        teacher: Logits or log-probabilities in float32, of the same shape.
        forward: Which of the two.

    Returns:
        A scalar, >= 0 to rounding, and its gradient by ``student``; both 0 bit for bit where both
        distributions are the same.  (Autograd's gradient would be p * (sum of q) - q there.)
    """
    p, q = teacher.softmax(-1), student.softmax(-1)
    ratio = _log_normaliser(teacher, p) - _log_normaliser(student, q)
    if forward:
        gap = teacher - student
        return (gap.mul_(p).sum(-1) - ratio).sum(), q.sub_(p)
    gap = student - teacher
    mean = (gap * q).sum(-1, keepdim=True)
    return (mean.squeeze(-1) + ratio).sum(), gap.sub_(mean).mul_(q)


def _log_normaliser(logits: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    """The logsumexp of each row, from its largest logit and that one's probability."""
    return logits.amax(-1) - probabilities.amax(-1).log()


def summed(logits: torch.Tensor, found: torch.Tensor, terms: Terms) -> torch.Tensor:
    """A term of the loss that is summed over positions, with its gradient by the logits.

    The gradient is worked out with the value, few positions at a time: beside the logits and their
    gradient nothing of that size is ever held.

    Args:
        logits: Shape (batch, k, vocabulary).
        found: Which positions count, shape (batch, k).
        terms: Given the logits of some of these, in float32, shape (some, vocabulary), and which of
            them they are: the sum of their terms, and its gradient by the logits.

    Returns:
        A scalar; a constant 0 where no position counts.
    """
    import torch

    from forgetless.methods.parts.given_gradient import GivenGradient

    flat = logits.detach().flatten(0, 1)
    places = found.flatten().nonzero().squeeze(-1)
    value = torch.zeros((), device=flat.device)
    if not len(places):
        return value
    gradient = torch.zeros_like(flat)
    entries = ENTRIES_AT_ONCE["cpu" if flat.device.type == "cpu" else "other"]
    some = max(1, entries // flat.shape[-1])
    with torch.no_grad():
        for start in range(0, len(places), some):
            part = slice(start, start + some)
            term, slope = terms(flat[places[part]].float(), part)
            value += term
            gradient[places[part]] = slope.to(gradient)
    total: torch.Tensor = GivenGradient.apply(  # type: ignore[no-untyped-call]
        logits, value, gradient.view_as(logits)
    )
    return total


@dataclass(frozen=True)
class Positions:
    """Finds what is kept for the learned positions of examples.

    Attributes:
        keys: ``Encoded.key`` of each example, ascending, shape (examples,).
        starts: Place of what is kept for its first learned position, shape (examples,).
    """

    keys: torch.Tensor
    starts: torch.Tensor

    @classmethod
    def of(cls, keys: torch.Tensor, counts: torch.Tensor) -> Positions:
        """For examples kept one after another, each with so many learned positions."""
        return cls.sorted(keys, counts.cumsum(0) - counts)

    @classmethod
    def sorted(cls, keys: torch.Tensor, starts: torch.Tensor) -> Positions:
        """For examples in any order; the last of those with equal keys counts."""
        order = keys.argsort(stable=True)
        return cls(keys[order], starts[order])

    def find(self, batch: Batch, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Where a batch's learned positions are kept.

        Args:
            batch: Rows in any order, known or not.
            rows: Which of them are asked for, shape (batch,).

        Returns:
            Which positions of the batch are learned, asked for and known, shape (batch, k), on the
            batch's device; and the place of each of them, in this order, shape (found,), on the
            CPU, where things are kept.
        """
        import torch

        keys = batch.keys.cpu()
        last = torch.searchsorted(self.keys, keys, right=True) - 1  # the last key <= the wanted one
        known = (self.keys[last] == keys) & rows.cpu()
        found = (batch.targets != IGNORED).cpu() & known[:, None]
        places = self.starts[last][:, None] + found.cumsum(1) - 1
        return found.to(batch.targets.device), places[found]


@dataclass(frozen=True)
class SoftTargets:
    """Predictions of a model at the learned positions of examples.

    Values are float32: the indices take as much again, so that halving them would save a quarter.

    Attributes:
        positions: Whose predictions they are.
        indices: The k likeliest tokens, shape (positions, k), int32.
        values: Their log-probabilities and, last, that of all other tokens together, shape
            (positions, k + 1), float32.
    """

    positions: Positions
    indices: torch.Tensor
    values: torch.Tensor

    @classmethod
    def of(
        cls,
        model: Any,
        examples: Examples,
        chosen: Sequence[int],
        top_k: int,
        temperature: float = 1.0,
    ) -> SoftTargets:
        """Predict examples, each once, without dropout.

        Args:
            model: A causal language model, on its device.
            examples: Some examples.
            chosen: Indices of those to predict, at least one.
            top_k: Tokens kept by name; with the vocabulary's size or more, nothing is lost.
            temperature: Divides the logits, > 0.
        """
        import torch

        once = {int(examples.keys[index]): index for index in chosen}.values()
        different = Examples.of([examples[i] for i in once], [examples.origins[i] for i in once])

        def look(batch: Batch) -> tuple[torch.Tensor, ...]:
            learned = batch.targets != IGNORED
            logits = batch.logits[learned].float().div_(temperature)
            top = logits.topk(min(top_k, logits.shape[-1] - 1)).indices
            values = _in_bins(logits, top)[0].log_softmax(-1)
            return tuple(t.cpu() for t in (batch.keys, learned.sum(1), top.int(), values))

        found = [seen for _, seen in passes(model, different, look)]
        keys, counts, indices, values = (torch.cat(parts) for parts in zip(*found, strict=True))
        return cls(Positions.of(keys, counts), indices, values)

    def divergence(
        self, batch: Batch, rows: torch.Tensor, temperature: float = 1.0, *, forward: bool = True
    ) -> torch.Tensor:
        """How far the batch's predictions are from those kept, over k + 1 bins, in nats.

        Args:
            batch: Rows in any order; those that are not known add nothing.
            rows: Which rows count, shape (batch,).
            temperature: Divides the batch's logits; the one that the targets were made with.
            forward: Targets first (see :func:`divergence`).

        Returns:
            A scalar: the sum over all positions found.
        """
        found, places = self.positions.find(batch, rows)
        device = batch.logits.device
        indices = self.indices[places].to(device).long()
        values = self.values[places].to(device)

        def terms(logits: torch.Tensor, part: slice) -> tuple[torch.Tensor, torch.Tensor]:
            bins, others = _in_bins(logits.div_(temperature), indices[part])
            value, slope = divergence(bins, values[part], forward=forward)
            # The last bin is the logsumexp of the others, whose gradient is their softmax.
            slopes = others.sub_(bins[:, -1:]).exp_().mul_(slope[:, -1:])
            return value, slopes.scatter_(-1, indices[part], slope[:, :-1]).div_(temperature)

        return summed(batch.logits, found, terms)

    def followed_by(self, later: SoftTargets) -> SoftTargets:
        """These and later ones of the same k; what is in both is taken from the later ones."""
        import torch

        first, second = self.positions, later.positions
        return SoftTargets(
            Positions.sorted(
                torch.cat([first.keys, second.keys]),
                torch.cat([first.starts, second.starts + len(self.indices)]),
            ),
            torch.cat([self.indices, later.indices]),
            torch.cat([self.values, later.values]),
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything, by name."""
        return {
            "keys": self.positions.keys,
            "starts": self.positions.starts,
            "indices": self.indices,
            "values": self.values,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> SoftTargets:
        """What :meth:`tensors` gave."""
        positions = Positions(tensors["keys"], tensors["starts"])
        return cls(positions, tensors["indices"], tensors["values"])


def _in_bins(logits: torch.Tensor, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of the tokens named and, last, of all others together, shape (positions, k + 1).

    The second result is the logits themselves with -inf at the tokens named.
    """
    import torch

    named = logits.gather(-1, indices)
    others = logits.scatter_(-1, indices, -torch.inf)
    return torch.cat([named, others.logsumexp(-1, keepdim=True)], -1), others

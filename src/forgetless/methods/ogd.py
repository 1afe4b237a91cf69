"""Orthogonal updates: change no linear layer's answer to the inputs that earlier tasks gave it.

At the end of a stage, some of its rows go through the model once more.  For each linear layer, the
directions that make up most of its inputs are kept as an orthonormal basis U.  In later stages,
with S the weights at the stage's start, every step of the optimiser is followed by

    W <- S + (W - S)(1 - U U^T),

so that W x stays what it was for every x spanned by U, whatever the optimiser, its momentum and
its weight decay did.

Source: Saha et al. 2021 (arXiv 2103.09762), equations 8 and 9; orthogonal steps: Farajtabar et al.
2020 (arXiv 1910.07104).

Differs: the update is projected and not the gradient, of which Adam would let a part through; each
token's input counts with length 1, for a few tokens of a language model have most of the length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from forgetless.errors import ModelError
from forgetless.methods.base import Method, State
from forgetless.methods.parts.adapters import refuse_adapter
from forgetless.methods.parts.passes import batch_of
from forgetless.methods.stage import Stage, Workbench
from forgetless.plan import Config
from forgetless.processes import sums_over
from forgetless.tasks.examples import Examples

if TYPE_CHECKING:
    import torch

    from forgetless.tasks.render import Encoded

_ADAPTER = "it protects the inputs of whole weights, and an adapter trains factors of a change"


class OGDConfig(Config):
    """Options of orthogonal updates."""

    energy: float = Field(
        0.95,
        gt=0,
        le=1,
        description="share of the squared length of a layer's inputs that is protected",
    )
    capacity: float = Field(
        0.5, gt=0, le=1, description="share of a layer's input directions protected, at most"
    )
    samples: int = Field(
        64, ge=1, description="rows of the stage whose inputs are looked at, at most"
    )
    rest: Literal["frozen", "free"] = Field(
        "frozen",
        description="what happens after the first stage to weights that no input protects: "
        "embeddings, norms, biases and a head that shares the embeddings",
    )


class OGD(Method[OGDConfig]):
    """Keep what linear layers answer to inputs of earlier tasks."""

    name = "ogd"
    Config = OGDConfig
    excludes_sharding = "after every step it projects weights as whole matrices"
    excludes = {  # noqa: RUF012 - declared once, never changed
        "joint": "joint training has every old row already",
        "lora": _ADAPTER,
        "olora": _ADAPTER,
        "osf": "each projects the update, and the second would undo the first",
    }

    def __init__(self, config: OGDConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._bases: dict[str, torch.Tensor] = {}
        self._shared: dict[str, str] = {}  # each layer, and the one whose input and basis it shares
        self._starts: dict[str, torch.Tensor] = {}

    def acts_in(self, stage: Stage) -> bool:
        """Where something was learned before."""
        return stage.number > 1

    def adapt(self, bench: Workbench) -> None:
        """Freeze what no input protects, after the first stage.

        Raises:
            ModelError: for a model without linear layers, or with an adapter.
        """
        refuse_adapter(bench.model, f"ogd: {_ADAPTER}")
        protected = {id(weight) for _, weight, _ in _linear_layers(bench.model)}
        if not protected:
            raise ModelError(
                f"ogd: {type(bench.model).__name__} has no linear layer whose inputs it could "
                "protect",
                fix="use another method, such as  l2sp",
            )
        if self.acts_in(bench.stage) and self.config.rest == "frozen":
            for parameter in bench.model.parameters():
                if id(parameter) not in protected:
                    parameter.requires_grad_(False)

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Take the weights as the last stage left them."""
        self._starts = {
            path: matrix.clone()
            for path, weight, matrix in _linear_layers(bench.model)
            if path in self._shared and weight.requires_grad
        }

    def before_step(self, model: Any) -> None:
        """Nothing: the weights are held against the stage's start, so that no rounding adds up."""

    def after_step(self, model: Any) -> None:
        """Take out of the way since the stage's start what answers protected inputs otherwise."""
        import torch

        for path, _, matrix in _linear_layers(model) if self._starts else ():
            if path not in self._starts:
                continue
            key = self._shared[path]
            basis = self._bases[key] = self._bases[key].to(matrix.device)
            way = (matrix - self._starts[path]).float()
            way.addmm_(way @ basis, basis.T, alpha=-1)
            torch.add(self._starts[path], way, out=matrix)

    def let_go(self) -> None:
        """Drop the weights at the stage's start."""
        self._starts = {}

    def end_stage(self, bench: Workbench) -> None:
        """Protect the inputs that the stage's rows give each layer."""
        order = bench.stage.rng("ogd").permutation(len(bench.new))
        chosen = [bench.new[index] for index in order[: self.config.samples].tolist()]
        moments, self._shared = input_moments(bench.model, chosen)
        for path, moment in moments.items():
            old = self._bases.get(path, moment[:, :0]).to(moment.device)
            most = max(1, int(self.config.capacity * len(moment)))
            self._bases[path] = extended(old, moment, self.config.energy, most)

    def state(self) -> State:
        """The bases, and which layers share one."""
        tensors = {f"basis/{path}": basis for path, basis in self._bases.items()}
        return State(tensors, {"shared": self._shared})

    def restore(self, state: State) -> None:
        """Take them back."""
        self._bases = state.part("basis")
        self._shared = dict(state.values["shared"])


def _linear_layers(
    model: Any,
) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Path, weight, and the weight as a matrix (outputs, inputs) of every linear layer.

    A head that shares its weight with the embeddings is none.
    """
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    embeddings = model.get_input_embeddings().weight
    for path, layer in model.named_modules():
        if isinstance(layer, Linear | Conv1D) and layer.weight is not embeddings:
            weight = layer.weight
            matrix = weight.detach()
            yield path, weight, matrix.T if isinstance(layer, Conv1D) else matrix


def input_moments(
    model: Any, examples: Sequence[Encoded]
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Sum of x x^T over the inputs x of linear layers, each x brought to length 1.

    Args:
        model: In evaluation mode.
        examples: At least one; processes share them.  They go through the model one by one; every
            token counts, prompts included, but for a head, which sees what stands before learned
            tokens only.

    Returns:
        For layers by path, a matrix (inputs, inputs), float32; and for every linear layer, the
        one of them that reads the very same tensor, often itself.
    """
    shared: dict[str, str] = {}

    def moments_of(some: Sequence[Encoded]) -> dict[str, torch.Tensor]:
        return _moments(model, some, shared)

    return sums_over(examples, moments_of), shared


def _moments(
    model: Any, examples: Sequence[Encoded], shared: dict[str, str]
) -> dict[str, torch.Tensor]:
    """The sums over some examples; ``shared`` is filled in."""
    import torch
    from torch.nn.functional import normalize

    moments: dict[str, torch.Tensor] = {}
    last: tuple[torch.Tensor | None, str] = (None, "")

    def look(path: str, inputs: torch.Tensor) -> None:
        nonlocal last
        if inputs is not last[0]:
            last = inputs, path
        shared[path] = last[1]
        if last[1] != path:
            return
        rows = normalize(inputs.flatten(0, -2).float(), dim=-1)
        if path not in moments:
            moments[path] = rows.new_zeros(rows.shape[1], rows.shape[1])
        moments[path].addmm_(rows.T, rows)

    hooks = [
        model.get_submodule(path).register_forward_pre_hook(
            lambda _, inputs, path=path: look(path, inputs[0])
        )
        for path, _, _ in _linear_layers(model)
    ]
    try:
        with torch.no_grad():
            for example in examples:
                batch_of(model, [example])
    finally:
        for hook in hooks:
            hook.remove()
    return moments


def extended(basis: torch.Tensor, moment: torch.Tensor, energy: float, most: int) -> torch.Tensor:
    """A basis with new directions, until it holds the wanted share of what goes through a layer.

    Args:
        basis: Orthonormal columns, shape (inputs, k); they stay.
        moment: Sum of x x^T over inputs, shape (inputs, inputs).
        energy: Wanted share of the sum of |x|^2.
        most: Columns at most.

    Returns:
        Shape (inputs, k or more), orthonormal.
    """
    import torch

    inside = basis.T @ moment  # (k, inputs)
    held = inside @ basis
    outside = moment - basis @ inside - inside.T @ basis.T + basis @ held @ basis.T
    values, vectors = torch.linalg.eigh(outside)
    values, vectors = values.flip(0), vectors.flip(1)  # largest first
    total = moment.trace()
    short = (held.trace() + values.cumsum(0) - values) / total < energy
    real = values > 1e-6 * total  # what is less is rounding
    count = min(int((short & real).sum()), max(0, most - basis.shape[1]))
    new = vectors[:, :count]
    new = torch.linalg.qr(new - basis @ (basis.T @ new)).Q
    return torch.cat([basis, new], 1)

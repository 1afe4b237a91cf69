"""The budget of a plan as one more method: watch, steer, and go back as far as needed.

Half of every task's test items guard and are never scored in the matrix; the other half certifies.
While a stage is trained, the guard items of older and test-only tasks are asked ``checks`` times:
each check sets the price of losses (``forgetless.budgeting.steering``), and a model within budget
is kept as a snapshot.  At the end of the stage, if a loss and its margin are beyond the budget, the
stage leaves the point on the way from its start, or from the last snapshot, to its end that holds
the budget and learned most.  What was lost before the stage is not asked back of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forgetless.budgeting.standing import Loss, Scores, loss_of
from forgetless.budgeting.steering import emphasis, next_price, step_share
from forgetless.errors import RunFailed
from forgetless.methods.base import Batch, Method, Stage, State, Workbench
from forgetless.methods.parts.between import move_between
from forgetless.methods.parts.reference import trained_values
from forgetless.plan import BudgetConfig
from forgetless.tasks.examples import Examples
from forgetless.tasks.task import Task

if TYPE_CHECKING:
    import torch

ALPHAS = tuple(tenth / 10 for tenth in range(9, -1, -1))
NEXT_TO_NOTHING = 0.1
"""A stage that leaves less of what it learned has not learned its task."""

CEILING = 0.98
"""A task that was answered so well before has next to nothing to be learned."""

BATCH = 32


class Budget(Method[BudgetConfig]):
    """Keep older and test-only tasks within a budget of loss.

    Args:
        config: The budget.
        guards: Every task by name, with the items that guard.
        protections: The other methods of the plan.
    """

    name = "budget"
    Config = BudgetConfig
    excludes = {  # noqa: RUF012 - declared once, never changed
        "olora": "its adapters are one when the stage ends, and the older part must not change",
        "si": "it weighs the way that training went, and a merge goes another",
    }
    only_in_runs = "it asks the tasks of a plan"
    excludes_sharding = "it asks the model in the midst of training, when no process has all of it"

    def __init__(
        self,
        config: BudgetConfig,
        guards: Mapping[str, Task],
        protections: Sequence[Method[Any]] = (),
    ) -> None:
        super().__init__(config)
        self._guards = guards
        self._protections = [method for method in protections if method.heeds_emphasis]
        self._references: dict[str, Scores] = {}  # by task, as it was when it was learned
        self._lost: dict[str, float] = {}  # by task, at the end of the last stage
        self._records: dict[str, Any] = {}  # by stage, what came of it
        self._begin()

    def _begin(self) -> None:
        self._before: dict[str, torch.Tensor] = {}
        self._snapshot: dict[str, torch.Tensor] = {}
        self._at_start: dict[str, Scores] = {}
        self._checks: list[dict[str, Any]] = []
        self._due: frozenset[int] = frozenset()
        self._step = 0
        self._price = 1.0
        self._protected = False
        self._tokenizer: Any = None
        self._shares: dict[str, float] = {}  # by kept task
        self._aside: dict[str, torch.Tensor] = {}

    @property
    def must_train(self) -> bool:
        """What tasks score when they are learned is seen in training alone."""
        return True

    def acts_in(self, stage: Stage) -> bool:
        """Wherever there is something to keep."""
        return bool(self.kept_in(stage))

    def identity(self, stage: Stage) -> dict[str, Any]:
        """The options, and the items that guard."""
        digest = hashlib.sha256()
        for name in (*self.kept_in(stage), *(task.name for task in stage.tasks)):
            digest.update(f"{name}\x00{self._guards[name].test_hash()}\n".encode())
        return super().identity(stage) | {"guards": digest.hexdigest()}

    def kept_in(self, stage: Stage) -> tuple[str, ...]:
        """Names of the tasks that a stage must keep."""
        earlier = [task.name for task in stage.earlier]
        tested = [name for name, task in self._guards.items() if task.trained_in is None]
        return (*earlier, *tested)

    def questions(self, stage: Stage) -> list[tuple[Task, int]]:
        """The guard items, and how often they are asked in a stage whose end is within budget."""
        new, kept = [task.name for task in stage.tasks], self.kept_in(stage)
        checks = self.config.checks + (2 if stage.number == 1 else 1)  # the first asks before, too
        asked = dict.fromkeys(kept, checks) | dict.fromkeys(new, 2 if kept else 1)
        return [(self._guards[name], times) for name, times in asked.items()]

    def record(self, stage: Stage) -> Mapping[str, Any] | None:
        """What came of a stage, as plain data; None where nothing had to be kept."""
        return self._records.get(stage.name)

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Ask what there is to be lost and to be learned; keep the model before the stage."""
        self._begin()
        stage = bench.stage
        self._tokenizer = bench.tokenizer
        self._shares = {name: self._share(stage, name) for name in self.kept_in(stage)}
        if not self._shares:
            return
        self._before = trained_values(bench.model, "cpu")
        acting = any(method.acts_in(stage) for method in self._protections)
        self._protected = acting or len(examples) > len(bench.new)
        checks = self.config.checks
        self._due = frozenset(
            round(number * bench.steps / (checks + 1)) for number in range(1, checks + 1)
        ) - {0, bench.steps}
        unknown = [name for name in self._shares if name not in self._references]
        found = self._ask(bench.model, [*unknown, *(task.name for task in stage.tasks)])
        self._references |= {name: found[name] for name in unknown}
        self._at_start = {task.name: found[task.name] for task in stage.tasks}
        self._emphasise()

    def weigh(self, batch: Batch) -> torch.Tensor | None:
        """Rehearsed rows weigh more while a task is over budget."""
        import torch

        factor = emphasis(self._price, protected=self._protected)
        if factor == 1 or not batch.replayed.any():
            return None
        weights = torch.where(batch.replayed, factor, 1.0).to(batch.logits.device)
        return weights[:, None].expand(batch.targets.shape)

    def before_step(self, model: Any) -> None:
        """Keep what a step that is to be shortened starts from."""
        if step_share(self._price, protected=self._protected) < 1:
            self._aside = trained_values(model)

    def after_step(self, model: Any) -> None:
        """Shorten the step; check where it is time."""
        import torch

        self._step += 1
        share = step_share(self._price, protected=self._protected)
        if share < 1 and self._aside:
            parameters = dict(model.named_parameters())
            with torch.no_grad():
                for name, start in self._aside.items():
                    parameters[name].copy_(torch.lerp(start, parameters[name], share))
            self._aside = {}
        if self._step in self._due:
            self._check(model)

    def _check(self, model: Any) -> None:
        losses = self._losses(self._ask(model, [*self._shares]))
        worst = max(loss.excess for loss in losses.values())
        self._checks.append({"step": self._step, "price": self._price, "losses": _plain(losses)})
        if worst <= 0:
            self._snapshot = trained_values(model, "cpu")
        if self.config.steer:
            self._price = next_price(self._price, worst)
            self._emphasise()

    def settle(self, bench: Workbench) -> None:
        """Leave the point that holds the budget and learned most; remember what was learned."""
        new = tuple(task.name for task in bench.stage.tasks)
        self._tokenizer = bench.tokenizer
        scores: Mapping[str, Scores] = self._ask(bench.model, [*self._shares, *new])
        if self._shares:
            scores = self._within(bench, new, scores)
            self._lost = {name: loss.found for name, loss in self._losses(scores).items()}
        self._references |= {name: scores[name] for name in new}
        self._lost |= dict.fromkeys(new, 0.0)
        self._begin()
        self._emphasise()

    def _within(
        self, bench: Workbench, new: Sequence[str], at_end: Mapping[str, Scores]
    ) -> Mapping[str, Scores]:
        """Move the model to the point that is left; the scores there."""

        def point(origin: str, alpha: float, scores: Mapping[str, Scores]) -> _Point:
            learned = self._learned(scores, at_end, new)
            return _Point(origin, alpha, scores, learned, self._losses(scores))

        end = point("end", 1.0, at_end)
        asked = [end]
        if not self._holds(end):
            after = trained_values(bench.model, "cpu")
            origins = {"start": self._before, "snapshot": self._snapshot}
            for origin, values in origins.items():
                for alpha in ALPHAS if values else ():
                    move_between(bench.model, values, after, alpha)
                    asked.append(
                        point(origin, alpha, self._ask(bench.model, [*self._shares, *new]))
                    )
                    if self._holds(asked[-1]):
                        break
        left = max(filter(self._holds, asked), key=lambda point: (point.learned, point.alpha))
        if left is not end:
            move_between(bench.model, origins[left.origin], after, left.alpha)
        self._records[bench.stage.name] = {
            "status": _status(left, end, slowed=self._slowed(new)),
            "left": left.plain(),
            "asked": [point.plain() for point in asked],
            "checks": self._checks,
            "allowed": {name: loss.allowed for name, loss in left.losses.items()},
            "given_up": {name: _mean(at_end[name]) - _mean(left.scores[name]) for name in new},
            "gained": {name: _mean(at_end[name]) - _mean(self._at_start[name]) for name in new},
        }
        return left.scores

    def _holds(self, point: _Point) -> bool:
        if point.origin == "start" and point.alpha == 0:
            return True  # nothing is lost there that had not been lost before
        return all(
            loss.within(self.config.margin, self._lost.get(name, 0.0))
            for name, loss in point.losses.items()
        )

    def _losses(self, scores: Mapping[str, Scores]) -> dict[str, Loss]:
        return {
            name: loss_of(
                self._references[name],
                scores[name],
                self.config,
                name,
                share,
                self._guards[name].groups,
            )
            for name, share in self._shares.items()
        }

    def _share(self, stage: Stage, name: str) -> float:
        """The part of a task's budget that may be spent by the end of a stage."""
        if stage.from_base or not self.config.spread:
            return 1.0
        learned_in = self._guards[name].trained_in or 0
        last = max(task.trained_in or 0 for task in self._guards.values())
        return (stage.number - learned_in) / (last - learned_in)

    def _learned(
        self, scores: Mapping[str, Scores], at_end: Mapping[str, Scores], new: Sequence[str]
    ) -> float:
        """What is kept of the stage's gain, mean over its tasks; 0 where nothing was gained."""
        shares = []
        for name in new:
            start, now, end = (_mean(s[name]) for s in (self._at_start, scores, at_end))
            if end > start:
                shares.append((now - start) / (end - start))
        return float(np.mean(shares)) if shares else 0.0

    def _slowed(self, new: Sequence[str]) -> bool:
        """Whether there was something to learn and losses had their price while it was not."""
        open_to_more = any(_mean(self._at_start[name]) < CEILING for name in new)
        return open_to_more and any(check["price"] > 1 for check in self._checks)

    def _ask(self, model: Any, names: Sequence[str]) -> dict[str, Scores]:
        from forgetless.guard.asking import ask_tasks
        from forgetless.models.load import LoadedModel

        tasks = [self._guards[name] for name in names]
        cells = ask_tasks(LoadedModel(model, self._tokenizer), tasks, BATCH)
        for name, cell in cells.items():
            if not cell.scores:
                reason = next(iter(cell.errors.values()), "it has no items")
                raise RunFailed(f"budget: no guard item of task {name!r} can be scored: {reason}")
        return {name: dict(cell.scores) for name, cell in cells.items()}

    def _emphasise(self) -> None:
        for method in self._protections:
            method.emphasis = emphasis(self._price, protected=True)

    def state(self) -> State:
        """References and records; within a stage where it stands, and the snapshot."""
        return State(
            dict(self._snapshot),
            {
                "references": {name: dict(scores) for name, scores in self._references.items()},
                "lost": self._lost,
                "stages": self._records,
                "step": self._step,
                "price": self._price,
                "checks": self._checks,
                "at_start": {name: dict(scores) for name, scores in self._at_start.items()},
            },
        )

    def restore(self, state: State) -> None:
        """Take all of it back; where the stage began is known from its start."""
        values = state.values
        self._references, self._lost = dict(values["references"]), dict(values["lost"])
        self._records, self._checks = dict(values["stages"]), list(values["checks"])
        self._step, self._price = int(values["step"]), float(values["price"])
        self._at_start = dict(values["at_start"])
        self._snapshot = dict(state.tensors)
        self._emphasise()


@dataclass(frozen=True)
class _Point:
    """A point on the way from ``origin`` to the stage's end, as it was asked."""

    origin: str
    alpha: float
    scores: Mapping[str, Scores]
    learned: float
    losses: Mapping[str, Loss]

    def plain(self) -> dict[str, Any]:
        return {
            "from": self.origin,
            "alpha": self.alpha,
            "learned": self.learned,
            "losses": _plain(self.losses),
        }


def _status(left: _Point, end: _Point, *, slowed: bool) -> str:
    if left.learned < NEXT_TO_NOTHING and (slowed or end.learned > 0):
        return "not both"
    return "held" if left is end else "merged"


def _plain(losses: Mapping[str, Loss]) -> dict[str, float]:
    return {name: loss.found for name, loss in losses.items()}


def _mean(scores: Scores) -> float:
    return float(np.mean(list(scores.values()))) if scores else 0.0

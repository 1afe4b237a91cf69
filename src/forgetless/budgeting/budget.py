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
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from forgetless.budgeting.course import Course, due_steps
from forgetless.budgeting.going_back import Point, go_back, learned_at, status_of
from forgetless.budgeting.standing import FEWEST_ANSWERED, Loss, Scores, found_in, loss_of, mean_of
from forgetless.budgeting.steering import emphasis, next_price
from forgetless.errors import RunFailed
from forgetless.methods.base import Method, State
from forgetless.methods.batch import Batch
from forgetless.methods.parts.reference import trained_values
from forgetless.methods.stage import Stage, Workbench
from forgetless.plan import BudgetConfig
from forgetless.tasks.examples import Examples
from forgetless.tasks.task import Task

if TYPE_CHECKING:
    import torch

BATCH = 32
"""Guard items in one pass; not the plan's ``scoring_batch_size``, which is to change no weight."""


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
        self._course = Course()

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
        stage = bench.stage
        shares = {name: self._share(stage, name) for name in self.kept_in(stage)}
        self._course = course = Course(bench.tokenizer, shares)
        if not shares:
            return
        course.before = trained_values(bench.model, "cpu")
        acting = any(method.acts_in(stage) for method in self._protections)
        course.protected = acting or len(examples) > len(bench.new)
        course.due = due_steps(self.config.checks, bench.steps)
        unknown = [name for name in shares if name not in self._references]
        new = [task.name for task in stage.tasks]
        found = self._ask(bench.model, [*unknown, *new], references=unknown)
        self._references |= {name: found[name] for name in unknown}
        course.at_start = {name: found[name] for name in new}
        self._emphasise()

    def weigh(self, batch: Batch) -> torch.Tensor | None:
        """Rehearsed rows weigh more while a task is over budget."""
        import torch

        factor = self._course.emphasis
        if factor == 1 or not batch.replayed.any():
            return None
        weights = torch.where(batch.replayed, factor, 1.0).to(batch.logits.device)
        return weights[:, None].expand(batch.targets.shape)

    def before_step(self, model: Any) -> None:
        """Keep what a step that is to be shortened starts from."""
        if self._course.step_share < 1:
            self._course.aside = trained_values(model)

    def after_step(self, model: Any) -> None:
        """Shorten the step; check where it is time."""
        import torch

        course = self._course
        course.step += 1
        share = course.step_share
        if share < 1 and course.aside:
            parameters = dict(model.named_parameters())
            with torch.no_grad():
                for name, start in course.aside.items():
                    parameters[name].copy_(torch.lerp(start, parameters[name], share))
            course.aside = {}
        if course.step in course.due:
            self._check(model)

    def _check(self, model: Any) -> None:
        """Watch the kept tasks, keep a model within budget, and set the price of losses."""
        course = self._course
        losses = self._losses(self._ask(model, [*course.shares]))
        worst = max(loss.excess for loss in losses.values())
        if worst <= 0:
            course.snapshot = trained_values(model, "cpu")
        if self.config.steer:
            course.price = next_price(course.price, worst)
            self._emphasise()
        course.checks.append(
            {"step": course.step, "price": course.price, "losses": found_in(losses)}
        )

    def _emphasise(self) -> None:
        for method in self._protections:
            method.emphasis = emphasis(self._course.price, protected=True)

    def settle(self, bench: Workbench) -> None:
        """Leave the point that holds the budget and learned most; remember what was learned."""
        new = [task.name for task in bench.stage.tasks]
        asked = [*self._course.shares, *new]
        scores: Mapping[str, Scores] = self._ask(bench.model, asked, references=new)
        if self._course.shares:
            left = self._leave(bench, scores)
            self._lost = found_in(left.losses)
            scores = left.scores
        self._references |= {name: scores[name] for name in new}
        self._lost |= dict.fromkeys(new, 0.0)
        self._course = Course()
        self._emphasise()

    def _leave(self, bench: Workbench, at_end: Mapping[str, Scores]) -> Point:
        """Go back as far as needed; the point that the stage leaves, of which a record is kept."""
        course = self._course

        def measure(origin: str, alpha: float) -> Point:
            return self._point(origin, alpha, self._ask(bench.model, [*at_end]), at_end)

        left = end = self._point("end", 1.0, at_end, at_end)
        back: list[Point] = []
        if not end.holds:
            ways = {"start": course.before, "snapshot": course.snapshot}
            left, back = go_back(bench.model, {name: w for name, w in ways.items() if w}, measure)
        before, after, now = (
            {name: mean_of(scores[name]) for name in course.at_start}
            for scores in (course.at_start, at_end, left.scores)
        )
        self._records[bench.stage.name] = {
            "status": status_of(left, end, slowed=course.slowed),
            "left": left.plain(),
            "asked": [point.plain() for point in (end, *back)],
            "checks": course.checks,
            "allowed": {name: loss.allowed for name, loss in left.losses.items()},
            "given_up": {name: after[name] - now[name] for name in after},
            "gained": {name: after[name] - before[name] for name in after},
        }
        return left

    def _point(
        self, origin: str, alpha: float, scores: Mapping[str, Scores], at_end: Mapping[str, Scores]
    ) -> Point:
        losses = self._losses(scores)
        learned = learned_at(scores, self._course.at_start, at_end)
        # Nothing is lost at the start that had not been lost before.
        holds = (origin, alpha) == ("start", 0) or all(
            loss.within(self.config.margin, self._lost.get(name, 0.0))
            for name, loss in losses.items()
        )
        return Point(origin, alpha, scores, losses, learned, holds)

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
            for name, share in self._course.shares.items()
        }

    def _share(self, stage: Stage, name: str) -> float:
        """The part of a task's budget that may be spent by the end of a stage."""
        if stage.from_base or not self.config.spread:
            return 1.0
        learned_in = self._guards[name].trained_in or 0
        last = max(task.trained_in or 0 for task in self._guards.values())
        return (stage.number - learned_in) / (last - learned_in)

    def _ask(
        self, model: Any, names: Sequence[str], references: Sequence[str] = ()
    ) -> dict[str, Scores]:
        """Put the guard items of tasks to the model.

        Args:
            model: The model.
            names: The tasks.
            references: Those of which later answers will be compared with these.

        Raises:
            RunFailed: if no item of a task can be scored, or too few to refer to.
        """
        from forgetless.guard.asking import ask_tasks
        from forgetless.models.load import LoadedModel

        tasks = [self._guards[name] for name in names]
        cells = ask_tasks(LoadedModel(model, self._course.tokenizer), tasks, BATCH)
        for name, cell in cells.items():
            scored, items = len(cell.scores), len(cell.scores) + len(cell.errors)
            needed = math.ceil(FEWEST_ANSWERED * items) if name in references else 1
            if scored < needed:
                reason = next(iter(cell.errors.values()), "it has no items")
                raise RunFailed(
                    f"budget: {scored} of {items} guard items of task {name!r} can be scored, "
                    f"needed {needed}: {reason}",
                    fix="leave such items out of its test items, or shorten them",
                )
        return {name: dict(cell.scores) for name, cell in cells.items()}

    def state(self) -> State:
        """References and records; within a stage where it stands, and the snapshot."""
        course = self._course
        return State(
            dict(course.snapshot),
            {
                "references": {name: dict(scores) for name, scores in self._references.items()},
                "lost": self._lost,
                "stages": self._records,
                "step": course.step,
                "price": course.price,
                "checks": course.checks,
                "at_start": {name: dict(scores) for name, scores in course.at_start.items()},
            },
        )

    def restore(self, state: State) -> None:
        """Take all of it back; where the stage began is known from its start."""
        values = state.values
        self._references, self._lost = dict(values["references"]), dict(values["lost"])
        self._records = dict(values["stages"])
        self._course = replace(
            self._course,
            at_start=dict(values["at_start"]),
            step=int(values["step"]),
            price=float(values["price"]),
            checks=list(values["checks"]),
            snapshot=dict(state.tensors),
        )
        self._emphasise()

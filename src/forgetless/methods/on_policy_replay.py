"""On-policy rehearsal: old prompts, answered anew by the model as the stage finds it.

Before each stage the model answers kept prompts of earlier tasks.  Answers that the task's own
scorer accepts are rehearsed in the place of the old ones: they hold the model where it is, in its
own words, where the old answers pull it back to words that it may have left.  The share of tokens
is that of ``replay``.

Source: Chen et al. 2026 (arXiv 2605.29495).
Differs: where no answer is accepted, the old one is rehearsed, unless ``otherwise: drop``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from forgetless.errors import ModelError
from forgetless.methods.base import Method, State
from forgetless.methods.parts.buffer import Buffer, held_back_hash, is_tested
from forgetless.methods.parts.sampling import Written, sample
from forgetless.methods.stage import RehearsalRows, Stage, Workbench
from forgetless.plan import Config
from forgetless.tasks.examples import Examples, Origin
from forgetless.tasks.matching import MATCHERS
from forgetless.tasks.render import Encoded
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task


class OnPolicyReplayConfig(Config):
    """Options of on-policy replay."""

    ratio: float = Field(
        0.1, ge=0, lt=1, description="share of the mixture's tokens that answer old prompts"
    )
    size: int = Field(200, ge=1, description="prompts kept, equally many of each task")
    temperature: float = Field(
        1.0, ge=0, description="logits are divided by it; 0: the likeliest answer"
    )
    max_new_tokens: int = Field(128, ge=1, description="longest answer, in tokens")
    accept: Literal["scored", "any"] = Field(
        "scored", description="which answers are learned: those the task's scorer accepts, or any"
    )
    threshold: float = Field(
        0.5, gt=0, le=1, description="accept: scored: score from which an answer is accepted"
    )
    otherwise: Literal["gold", "drop"] = Field(
        "gold",
        description="what becomes of a prompt without an accepted answer: it keeps its old answer, "
        "or is left out",
    )


class OnPolicyReplay(Method[OnPolicyReplayConfig]):
    """Rehearse old prompts, answered by the model before a stage."""

    name = "on_policy_replay"
    needs_weights = "the model writes its rows token by token, before each stage"
    Config = OnPolicyReplayConfig
    excludes_sharding = ""
    excludes = {  # noqa: RUF012 - declared once, never changed
        "joint": "joint training already has every old row in every epoch",
    }

    def __init__(self, config: OnPolicyReplayConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._buffer = Buffer("balanced", self.config.size)
        self._written: Written | None = None
        if self.config.accept == "scored":
            self.only_in_runs = (
                "answers are scored against the task's own as text; accept: any works"
            )

    def acts_in(self, stage: Stage) -> bool:
        """Where there are earlier tasks."""
        return bool(stage.earlier) and self.config.ratio > 0

    def identity(self, stage: Stage) -> dict[str, Any]:
        """The options, the test items that are never rehearsed, and what judges the answers."""
        found = super().identity(stage) | {"held_back": held_back_hash(stage)}
        if self.config.accept == "scored":
            found["scores"] = [task.config.score for task in stage.earlier]
        return found

    def written_tokens(self, bench: Workbench) -> int:
        """An answer of the greatest length to every old prompt."""
        rows = self._buffer.rows(bench.stage) if self.acts_in(bench.stage) else ()
        return len(rows) * min(self.config.max_new_tokens, bench.encoder.longest)

    def rehearsal(self, bench: Workbench) -> Sequence[RehearsalRows]:
        """Old prompts with new answers; in a dry run, with the old ones."""
        if not self.acts_in(bench.stage):
            return []
        rows = self._buffer.rows(bench.stage)
        if bench.dry or not rows:
            return [RehearsalRows(rows, self.config.ratio)]
        number = bench.stage.number
        if self._written is None or self._written.stage != number:
            self._written = Written(number, self._answer(bench, rows))
        return [RehearsalRows(self._written.examples, self.config.ratio)]

    def keep_rows(self, stage: Stage) -> None:
        """Keep some of the stage's prompts."""
        self._buffer.add(stage, stage.rng("on_policy_replay/buffer"))

    def state(self) -> State:
        """The buffer, and what the model answered at the start of the stage."""
        if self._written is None:
            return State(values=self._buffer.values())
        return State(self._written.tensors(), self._buffer.values() | self._written.values())

    def restore(self, state: State) -> None:
        """Take them back."""
        self._buffer.restore(state.values)
        self._written = Written.restored(state.tensors, state.values)

    def _answer(self, bench: Workbench, rows: Sequence[tuple[Task, Row]]) -> Examples:
        """Let the model answer; each row with the new answer, the old one, or not at all.

        Raises:
            ModelError: if nothing is left.
        """
        renderers = {task.name: task.renderer(bench.tokenizer) for task, _ in rows}
        old = [
            (task, row, example)
            for task, row in rows
            for example in renderers[task.name].encode(row)[-1:]  # its last turn
            if any(example.learned[1:])
        ]
        prompts = [_prompt(example) for *_, example in old]
        stops = _stops(bench.tokenizer, [example for *_, example in old])
        answers = sample(
            bench,
            prompts,
            self.config.max_new_tokens,
            stops,
            self.config.temperature,
            bench.stage.rng("on_policy_replay/answers"),
        )
        found: list[Encoded] = []
        origins: list[Origin] = []
        for (task, row, gold), prompt, answer in zip(old, prompts, answers, strict=True):
            ended = len(answer) > 1 and answer[-1] in stops  # and says something before its end
            if ended and self._accepts(bench, task, row, answer[:-1]):
                learned = [False] * len(prompt) + [True] * len(answer)
                found.append(Encoded(prompt + answer, learned))
            elif self.config.otherwise == "gold" and len(gold) <= bench.encoder.longest:
                found.append(gold)
            else:
                continue
            origins.append(Origin(task.name, row.id))
        if not found:
            raise ModelError(
                f"on_policy_replay: stage {bench.stage.name}: of {len(old)} old prompts the model "
                "answered none acceptably, and all are dropped",
                fix="on_policy_replay: {otherwise: gold}, or raise max_new_tokens",
            )
        return Examples.of(found, origins)

    def _accepts(self, bench: Workbench, task: Task, row: Row, answer: Sequence[int]) -> bool:
        """Whether an answer may be learned."""
        scored = self.config.accept == "scored"
        if not scored and not bench.stage.held_back:
            return True  # rows of a user's own trainer have no text
        text = str(bench.tokenizer.decode(answer, skip_special_tokens=True)).strip()
        if is_tested(Row(row.id, row.prompt, text), bench.stage):
            return False
        if not scored:
            return True
        score = task.config.score
        judge = MATCHERS.get("exact_match" if score == "multiple_choice" else score)
        golds = (row.answer, *row.aliases)
        return judge is not None and judge(text, golds) >= self.config.threshold


def _prompt(example: Encoded) -> list[int]:
    """Tokens before the last answer; none where all is learned."""
    start = len(example) - example.learned[::-1].index(True)
    while start and example.learned[start - 1]:
        start -= 1
    return example.ids[:start]


def _stops(tokenizer: Any, examples: Sequence[Encoded]) -> set[int]:
    """Tokens that end an answer: end of text, and whatever the template ends a turn with."""
    added = set(tokenizer.added_tokens_decoder)
    stops = {tokenizer.eos_token_id} - {None}
    for example in examples:
        last = example.ids[len(example) - 1 - example.learned[::-1].index(True)]
        stops |= {last} & added
    return stops

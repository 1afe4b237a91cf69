"""Rehearsal without old data: before a stage the model writes the rows that it will rehearse.

Two starts.  From the token that begins a text the model writes whatever it writes: the loss of such
samples x is -log p(x), and its mean over them is KL(p_before || p) but for a constant, so that to
rehearse them is to hold on to all that the model knew, in proportion.  From the header of a user's
turn it writes what a user might ask, and then its own answer.

A row is used as the tokens that were drawn.  Left out are rows that are too short, repeat
themselves or an earlier row, or are a test item of any task.

Source: Bansal and Sanghavi 2025 (arXiv 2505.13811) for samples without a context; Huang et al. 2024
(arXiv 2403.01244) for rehearsing and selecting the model's own rows.
Differs: after the user's turn the template's words up to the answer are put in, not drawn; of
2403.01244 there are no worked examples of old tasks, which would be old data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from forgetless.errors import ModelError
from forgetless.methods.base import Method, State
from forgetless.methods.parts.buffer import held_back_hash, is_tested
from forgetless.methods.parts.drafts import chats, texts
from forgetless.methods.parts.sampling import Written
from forgetless.methods.parts.screening import Screen
from forgetless.methods.stage import RehearsalRows, Stage, Workbench
from forgetless.plan import Config
from forgetless.tasks.examples import Examples, Origin
from forgetless.tasks.render import Encoded

ROUNDS = 5  # of writing, before going on with fewer rows than were asked for


class SelfReplayConfig(Config):
    """Options of self-replay."""

    ratio: float = Field(
        0.1, ge=0, lt=1, description="share of the mixture's tokens that the model wrote itself"
    )
    rows: int = Field(200, ge=1, description="rows that the model writes")
    start: Literal["both", "chat", "bos"] = Field(
        "both",
        description="chat: a user's question and the answer; bos: free text; both: half of each, "
        "or free text alone where the model has no chat template",
    )
    learn: Literal["answer", "all"] = Field(
        "answer", description="what is learned of a chat: the answer, or the question as well"
    )
    refresh: Literal["every_stage", "first_stage"] = Field(
        "every_stage", description="when rows are written: before each stage, or before the first"
    )
    temperature: float = Field(1.0, gt=0, description="logits are divided by it; 1: as they are")
    max_new_tokens: int = Field(96, ge=1, description="longest turn or text, in tokens")
    min_tokens: int = Field(4, ge=1, description="shortest row, in tokens that the model wrote")
    min_distinct: float = Field(
        0.5, ge=0, le=1, description="least share of different ones among a turn's 3-token runs"
    )
    max_overlap: float = Field(
        0.7,
        ge=0,
        le=1,
        description="largest share of 3-token runs in common with another row; rows of fewer than "
        "16 such runs are left out only where they are the same",
    )


class SelfReplay(Method[SelfReplayConfig]):
    """Rehearse rows that the model wrote before the stage."""

    name = "self_replay"
    needs_weights = "the model writes its rows token by token, before each stage"
    Config = SelfReplayConfig
    excludes_sharding = ""

    def __init__(self, config: SelfReplayConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self._written: Written | None = None

    @property
    def must_train(self) -> bool:
        """Where rows are written before the first stage alone, that stage must be at hand."""
        return self.config.refresh == "first_stage" and self.config.ratio > 0

    def acts_in(self, stage: Stage) -> bool:
        """In every stage: the first can forget what the untouched model knew."""
        return self.config.ratio > 0

    def identity(self, stage: Stage) -> dict[str, Any]:
        """The options, and the test items that are never rehearsed."""
        return super().identity(stage) | {"held_back": held_back_hash(stage)}

    def written_tokens(self, bench: Workbench) -> int:
        """A question and an answer, or a text, of the greatest length for every row, all kept."""
        config = self.config
        if not self.acts_in(bench.stage):
            return 0
        if config.refresh == "first_stage" and bench.stage.number > 1:
            return 0
        longest = min(config.max_new_tokens, bench.encoder.longest)
        shares = _shares(bench.tokenizer, config)
        return longest * sum(count * (1 + (kind == "chat")) for kind, count in shares.items())

    def rehearsal(self, bench: Workbench) -> Sequence[RehearsalRows]:
        """Rows of this stage, or of the first; none in a dry run."""
        if self.config.ratio == 0 or bench.dry:
            return []
        number = bench.stage.number
        again = self.config.refresh == "every_stage"
        if self._written is None or (again and self._written.stage != number):
            self._written = Written(number, self._write(bench))
        return [RehearsalRows(self._written.examples, self.config.ratio)]

    def state(self) -> State:
        """The rows as tokens."""
        return State(self._written.tensors(), self._written.values()) if self._written else State()

    def restore(self, state: State) -> None:
        """Take the rows back."""
        self._written = Written.restored(state.tensors, state.values)

    def _write(self, bench: Workbench) -> Examples:
        """Let the model write until there are enough rows worth learning, or it has had its turns.

        Raises:
            ModelError: if none is.
        """
        config = self.config
        screen = Screen(config.min_tokens, config.min_distinct, config.max_overlap)
        faults: Counter[str] = Counter()
        examples: list[Encoded] = []
        origins: list[Origin] = []
        for kind, wanted in _shares(bench.tokenizer, config).items():
            full = len(examples) + wanted
            for turn in range(ROUNDS):
                missing = full - len(examples)
                rng = bench.stage.rng(f"self_replay/{kind}", turn)
                how = bench, missing, config.max_new_tokens, config.temperature, rng
                drafts = texts(*how) if kind == "bos" else chats(*how, config.learn == "all")
                faults["unfinished"] += missing - len(drafts)
                for draft in drafts:
                    tested = is_tested(draft.row, bench.stage)
                    fault = "tested" if tested else screen.fault(draft.turns, draft.text)
                    if fault is not None:
                        faults[fault] += 1
                        continue
                    examples.append(draft.example)
                    origins.append(Origin(self.name, f"{kind}-{len(examples)}"))
        if not examples:
            found = ", ".join(f"{count} {fault}" for fault, count in faults.most_common() if count)
            raise ModelError(
                f"self_replay: none of {faults.total()} rows that the model wrote can be rehearsed "
                f"({found})",
                fix="change start, raise max_new_tokens or lower min_distinct of  self_replay",
            )
        return Examples.of(examples, origins)


def _shares(tokenizer: Any, config: SelfReplayConfig) -> dict[str, int]:
    """How many rows are to be written from each start."""
    if config.start != "both":
        return {config.start: config.rows}
    if not tokenizer.chat_template:
        return {"bos": config.rows}
    return {"chat": config.rows - config.rows // 2, "bos": config.rows // 2}

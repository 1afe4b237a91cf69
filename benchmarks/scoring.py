"""Multiple choice scored by us and by lm-evaluation-harness's HFLM: CPU seconds, same answers.

python -m benchmarks.scoring --log

Both ask the same loaded model the same 200 items of 4 choices, from text to log-likelihoods.  The
peer has its best batch size of a few, found on a part of the items.  Run from the root of the
repository; the extra is  pip install lm-eval.
"""

from __future__ import annotations

import random
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from unittest.mock import patch

import typer

from benchmarks.comparison.records import append_to_log, circumstances
from forgetless.evaluation import scorer
from forgetless.evaluation.likelihood import Likelihood, Request, log_likelihoods
from forgetless.evaluation.packing import grow
from forgetless.models.load import LoadedModel, load_model
from forgetless.models.tree import Trunk
from forgetless.plan import ModelConfig, TaskConfig
from forgetless.tasks.bundled import bundled_rows
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task

MODEL = "bundled:smollm2-135m-instruct"
LETTERS = ("A", "B", "C", "D")
PEER_SIZES = (1, 4, 16, 64)
TUNED_ON = 8  # items
Clock = Callable[[], float]
SUBJECT = "The following are multiple choice questions (with answers) about medicine.\n\n"


@dataclass(frozen=True)
class Setting:
    """One kind of item, and by how much we want to be quicker."""

    name: str
    items: Callable[[], list[Row]]
    wanted: float
    shots: int = 0
    render: Literal["plain", "chat"] = (
        "plain"  # or with the model's chat template, the default of tasks
    )


def names() -> list[Row]:
    """Drugs by their brand: a short question and four names."""
    return list(bundled_rows("medical_facts", "test"))


def sentences() -> list[Row]:
    """How a text goes on: what stands before, and four sentences of about 20 tokens."""
    draw = random.Random(0)
    texts = [
        (row.prompt[-1].content, row.answer.removesuffix(".").split(". "))
        for row in bundled_rows("explanations", "test")
    ]
    every = [sentence for _, parts in texts for sentence in parts]
    rows = []
    for number, (question, parts) in enumerate(texts):
        for place, right in enumerate(parts):
            before = ". ".join([f"{question} {parts[0]}", *parts[1:place]])
            others = draw.sample([other for other in every if other not in parts], 3)
            choices = tuple(f"{text}." for text in draw.sample([right, *others], 4))
            prompt = f"{before}." if place else question
            rows.append(
                Row(f"{number}-{place}", (Turn("user", prompt),), f"{right}.", choices=choices)
            )
    draw.shuffle(rows)
    return rows


def letters() -> list[Row]:
    """The drugs again, in the form of MMLU: choices stand in the prompt, the answer is a letter."""
    rows = []
    for row in names():
        offered = "\n".join(
            f"{letter}. {choice}" for letter, choice in zip(LETTERS, row.choices, strict=True)
        )
        prompt = f"{row.prompt[-1].content}\n{offered}\nAnswer:"
        answer = LETTERS[row.choices.index(row.answer)]
        rows.append(Row(row.id, (Turn("user", prompt),), answer, choices=LETTERS))
    return rows


def letters_of_a_subject() -> list[Row]:
    """As MMLU asks without examples: each prompt begins with what the questions are about."""
    return [
        Row(
            row.id, (Turn("user", SUBJECT + row.prompt[-1].content),), row.answer,
            choices=row.choices,
        )
        for row in letters()
    ]  # fmt: skip


SETTINGS = (
    Setting("full text, names", names, 3.5),
    Setting("full text, sentences", sentences, 3.5),
    Setting("letters", letters_of_a_subject, 2.5),
    Setting("letters, chat template", letters_of_a_subject, 2.5, render="chat"),
    Setting("5 shots, names", names, 8.0, shots=5),
    Setting("5 shots, letters", letters, 8.0, shots=5),
)


@dataclass(frozen=True)
class Asked:
    """A setting as a task, and in the peer's terms: texts before and after, item by item."""

    task: Task
    pairs: list[tuple[str, str]]
    requests: list[Request]

    @classmethod
    def of(cls, setting: Setting, items: int, tokenizer: Any) -> Asked:
        """The first items; worked examples come from behind them."""
        rows = setting.items()
        assert len(rows) >= items + setting.shots
        config = TaskConfig(
            name="scoring", test="rows", score="multiple_choice", render=setting.render
        )
        shots = tuple(rows[items : items + setting.shots])
        task = Task(config, (), tuple(rows[:items]), shots, None)
        renderer = task.renderer(tokenizer)
        before = "" if setting.render == "chat" else " "
        asked = [(row, choice) for row in task.test for choice in row.choices]
        return cls(
            task,
            [(renderer.prompt(row), f"{before}{choice}") for row, choice in asked],
            [
                Request(renderer.prompt_ids(row), renderer.continuation_ids(row, choice))
                for row, choice in asked
            ],
        )


def ours(
    loaded: LoadedModel, asked: Asked, size: int, clock: Clock = time.process_time
) -> tuple[float, list[float]]:
    """Seconds of our scorer, and the log-likelihood of every choice."""
    totals: dict[tuple[int, ...], float] = {}

    def recording(model: LoadedModel, part: Sequence[Request], trunk: Trunk) -> list[Likelihood]:
        found = log_likelihoods(model, part, trunk)
        for request, likelihood in zip(part, found, strict=True):
            totals[(*request.context, -1, *request.continuation)] = likelihood.total
        return found

    with patch.object(scorer, "log_likelihoods", recording):
        started = clock()
        for batch in scorer.score_task(loaded, asked.task, size):
            assert all(result.error is None for result in batch)
        took = clock() - started
    return took, [totals[(*r.context, -1, *r.continuation)] for r in asked.requests]


def peer(
    loaded: LoadedModel,
    pairs: Sequence[tuple[str, str]],
    size: int,
    clock: Clock = time.process_time,
) -> tuple[float, list[float]]:
    """Seconds of HFLM, and the log-likelihood of every choice."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=size)
    instances = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=number)
        for number, pair in enumerate(pairs)
    ]
    started = clock()
    found = lm.loglikelihood(instances, disable_tqdm=True)
    return clock() - started, [total for total, _ in found]


def matmul_speed(width: int) -> float:
    """Floating-point operations a CPU second of a plain product of matrices, at its best."""
    import torch

    left, right = torch.randn(1024, width), torch.randn(1536, width)
    best = 0.0
    for _ in range(5):
        started = time.process_time()
        for _ in range(20):
            torch.nn.functional.linear(left, right)
        best = max(best, 20 * 2 * left.numel() * 1536 / (time.process_time() - started))
    return best


def least(loaded: LoadedModel, requests: Sequence[Request]) -> tuple[int, int, float]:
    """Distinct tokens, scored rows, and the operations that these cannot do without."""
    tree = grow(requests)
    head = loaded.model.get_output_embeddings().weight
    embedding = {id(p) for p in (loaded.model.get_input_embeddings().weight, head)}
    body = sum(p.numel() for p in loaded.model.parameters() if id(p) not in embedding)
    operations = 2.0 * (len(tree.ids) * body + len(tree.reads) * head.numel())
    return len(tree.ids), len(tree.reads), operations


def best(totals: Sequence[float], task: Task, *, by_character: bool) -> list[int]:
    """The choice that each item gets, the first of equals."""
    picked, scores = [], iter(totals)
    for row in task.test:
        own = [next(scores) / (len(choice) if by_character else 1) for choice in row.choices]
        picked.append(own.index(max(own)))
    return picked


def measure(
    loaded: LoadedModel, setting: Setting, items: int, size: int, peer_sizes: Sequence[int]
) -> str:
    """One line of the table: ours, the peer, ours again."""
    asked = Asked.of(setting, items, loaded.tokenizer)
    few = asked.pairs[: TUNED_ON * 4]
    tuned = {each: peer(loaded, few, each)[0] for each in peer_sizes}
    chosen = min(tuned, key=lambda each: tuned[each])
    speed = matmul_speed(loaded.model.config.hidden_size)
    first, mine = ours(loaded, asked, size)
    theirs_took, theirs = peer(loaded, asked.pairs, chosen)
    second, again = ours(loaded, asked, size)
    speed = max(speed, matmul_speed(loaded.model.config.hidden_size))
    assert mine == again
    took = (first + second) / 2
    tokens, rows, operations = least(loaded, asked.requests)
    differing = sum(
        one != other
        for by_character in (False, True)
        for one, other in zip(
            best(mine, asked.task, by_character=by_character),
            best(theirs, asked.task, by_character=by_character),
            strict=True,
        )
    )
    furthest = max(abs(one - other) for one, other in zip(mine, theirs, strict=True))
    cells = [
        setting.name, f"{sum(len(r) for r in asked.requests)}", f"{tokens} + {rows}",
        f"{first:.1f}, {second:.1f}", f"{theirs_took:.1f} ({chosen})",
        f"{theirs_took / took:.2f}×", f"{setting.wanted}×", f"{furthest:.1e}", f"{differing}",
        f"{took / (operations / speed):.2f}× of {operations / speed:.1f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


HEADER = """\
| choices | tokens | distinct + rows | ours, CPU s | HFLM (its batch) | quicker | wanted | \
furthest | other picks | over the bound, CPU s |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def main(
    items: Annotated[int, typer.Option(help="Items of 4 choices.")] = 200,
    settings: Annotated[str, typer.Option(help="The one of this name alone.")] = "",
    size: Annotated[int, typer.Option(help="Our batch size; a plan's default.")] = 32,
    peer_size: Annotated[
        int, typer.Option(help="HFLM's batch size; lm_eval's default is 1. 0: its best of a few.")
    ] = 0,
    log: Annotated[bool, typer.Option("--log", help="Add a section to benchmarks/LOG.md.")] = False,
) -> None:
    """Measure scoring beside lm-evaluation-harness."""
    import logging

    import torch

    torch.set_num_threads(1)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    loaded = load_model(ModelConfig(name=MODEL))
    loaded.tokenizer.padding_side = "left"
    if settings not in ("", *(setting.name for setting in SETTINGS)):
        raise typer.BadParameter(f"{settings!r} is none of {[s.name for s in SETTINGS]}")
    sizes = (peer_size,) if peer_size else PEER_SIZES
    lines = [HEADER]
    print(HEADER)
    for setting in SETTINGS:
        if settings in ("", setting.name):
            lines.append(measure(loaded, setting, items, size, sizes))
            print(lines[-1], flush=True)
    if log:
        command = shlex.join(["python", "-m", "benchmarks.scoring", *sys.argv[1:]])
        told = circumstances(command, 1, "cpu")
        versions = ", ".join(f"{name} {number}" for name, number in told["versions"].items())
        append_to_log(
            f"\n## {told['date']} · scoring beside lm-evaluation-harness\n\n"
            f"{told['date']}, `{command}`: {items} items of 4 choices, {MODEL}, 1 thread. "
            f"{told['machine']}; {versions}.\n\n" + "\n".join(lines) + "\n"
        )


if __name__ == "__main__":
    typer.run(main)

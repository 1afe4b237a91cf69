"""Greedy answers by us and by lm-evaluation-harness's HFLM: CPU seconds, same texts.

    python -m benchmarks.generation --log

Both continue the same prompts with the same loaded model, from text to text, until it ends its turn
or the limit is reached.  The peer has its best batch size of a few.
Run from the root of the repository; the extra is  pip install lm-eval.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from statistics import mean
from typing import Annotated, Any

import typer

from benchmarks.comparison.records import append_to_log, circumstances, command, in_a_line
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.scorer import score_task
from forgetless.models.load import LoadedModel, load_model
from forgetless.plan import ModelConfig, TaskConfig
from forgetless.tasks.bundled import bundled_rows
from forgetless.tasks.task import Task

MODEL = "bundled:smollm2-135m-instruct"
PEER_SIZES = (16, 32, 64, 96)
WARMED_ON = 4  # prompts
WANTED = 2.0


def ours(loaded: LoadedModel, task: Task, size: int) -> tuple[float, list[str]]:
    """CPU seconds, and the answers."""
    started = time.process_time()
    found: list[ItemResult] = [r for batch in score_task(loaded, task, size) for r in batch]
    took = time.process_time() - started
    texts = {result.item: str(result.output) for result in found}
    return took, [texts[row.id] for row in task.test]


def peer(
    loaded: LoadedModel, prompts: Sequence[str], longest: int, size: int
) -> tuple[float, list[str]]:
    """The same by HFLM."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=size)
    settings = {"until": ["<|im_end|>"], "max_gen_toks": longest, "do_sample": False}
    instances = [
        Instance(request_type="generate_until", doc={}, arguments=(prompt, settings), idx=number)
        for number, prompt in enumerate(prompts)
    ]
    started = time.process_time()
    found: list[str] = lm.generate_until(instances, disable_tqdm=True)
    return time.process_time() - started, [text.strip() for text in found]


def measure(loaded: LoadedModel, name: str, items: int, longest: int, size: int) -> str:
    """One line of the table: ours, the peer, ours again."""
    config = TaskConfig(name=name, test="rows", score="contains", max_new_tokens=longest)
    rows = tuple(bundled_rows(name, "test"))[:items]
    task = Task(config, (), rows, (), None)
    renderer: Any = task.renderer(loaded.tokenizer)
    prompts = [renderer.prompt(row) for row in rows]
    few = Task(config, (), rows[:WARMED_ON], (), None)
    ours(loaded, few, size)
    peer(loaded, prompts[:WARMED_ON], longest, WARMED_ON)
    first, texts = ours(loaded, task, size)
    found = {each: peer(loaded, prompts, longest, each) for each in PEER_SIZES}
    chosen = min(found, key=lambda each: found[each][0])
    theirs_took, theirs = found[chosen]
    second, again = ours(loaded, task, size)
    assert texts == again
    took = (first + second) / 2
    same = sum(one == other for one, other in zip(texts, theirs, strict=True))
    lengths = [len(loaded.tokenizer(text)["input_ids"]) for text in texts]
    cells = [
        name,
        f"{len(rows)}",
        f"{mean(lengths):.0f}, at most {longest}",
        f"{first:.1f}, {second:.1f}",
        f"{theirs_took:.1f} ({chosen})",
        f"{theirs_took / took:.2f}×",
        f"{same} of {len(rows)}",
    ]
    return f"| {' | '.join(cells)} |"


HEADER = """\
| prompts of | | tokens written | ours, CPU s | HFLM (its batch) | quicker | same text |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |"""


def main(
    items: Annotated[int, typer.Option(help="Prompts of each task.")] = 96,
    tasks: Annotated[str, typer.Option(help="Bundled tasks.")] = "arithmetic,medical_shorthand",
    longest: Annotated[int, typer.Option(help="Tokens of an answer, at most.")] = 64,
    size: Annotated[int, typer.Option(help="Our batch size; a plan's default.")] = 32,
    log: Annotated[bool, typer.Option("--log", help="Add a section to benchmarks/LOG.md.")] = False,
) -> None:
    """Measure generation beside lm-evaluation-harness."""
    import torch

    torch.set_num_threads(1)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    loaded = load_model(ModelConfig(name=MODEL))
    loaded.tokenizer.padding_side = "left"
    lines = [HEADER]
    print(HEADER)
    for name in tasks.split(","):
        lines.append(measure(loaded, name, items, longest, size))
        print(lines[-1], flush=True)
    lines += ["", f"Wanted: {WANTED}×."]
    if log:
        facts = circumstances(command("generation", sys.argv[1:]), 1, "cpu")
        shown = "\n".join(lines)
        append_to_log(f"\n## {facts['date']} · generation\n\n{in_a_line(facts)}\n\n{shown}\n")


if __name__ == "__main__":
    typer.run(main)

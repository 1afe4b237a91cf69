"""On a CUDA GPU in bfloat16: training beside TRL, scoring beside HFLM, memory, overheads.

python -m benchmarks.gpu --log
python -m benchmarks.gpu --model FOLDER --tokens 1024 --batch 16
python -m benchmarks.gpu --device cpu --quick            (tries it out; says nothing of GPUs)

Ours and the peer take turns in one process, on the same rows and items, and wall time is counted
with the device idle before and after.  What cannot be measured here is said and left out.
Needs  pip install trl lm-eval.  Run from the root of the repository.
"""

from __future__ import annotations

import gc
import logging
import random
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from transformers.trainer_callback import PrinterCallback

from benchmarks import scoring
from benchmarks.comparison import overhead
from benchmarks.comparison.arms import OVERHEADS, peer
from benchmarks.comparison.records import append_to_log, circumstances, in_a_line
from benchmarks.comparison.tiny import Size
from forgetless.comparing.arms import SEQUENTIAL
from forgetless.comparing.protocol import Trial
from forgetless.comparing.runs import Job, execute, finished
from forgetless.comparing.trials import plan_of
from forgetless.methods.compose import Compose
from forgetless.methods.stage import Stage, Workbench
from forgetless.models.load import LoadedModel, load_model
from forgetless.plan import ModelConfig, TaskConfig, TrainingConfig
from forgetless.tasks.bundled import bundled_rows
from forgetless.tasks.examples import Encoder
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task
from forgetless.training.schedule import build_schedule
from forgetless.training.stage import recomputation, train_stage

MODEL = "bundled:smollm2-135m-instruct"
QUICK = Size(width=32, layers=2, heads=2, context=512)
QUICK_ARMS = (SEQUENTIAL, "replay 10%")


@dataclass
class Measuring:
    """What is measured, where, and what has been found so far.

    Attributes:
        model: Name of the model.
        device: ``cuda`` or ``cpu``.
        tokens: Tokens of a training row, about.
        batch: Rows of an optimiser step.
        steps: Optimiser steps of one turn.
        turns: Turns of ours and the peer; the median counts.
        items: Items that are scored.
        quick: Whether to leave most out.
        lines: The report, in Markdown.
    """

    model: str
    device: str
    tokens: int
    batch: int
    steps: int
    turns: int
    items: int
    quick: bool
    lines: list[str] = field(default_factory=list)

    def tell(self, *lines: str) -> None:
        """Show lines and keep them for the log."""
        self.lines += lines
        for line in lines:
            print(line, flush=True)

    def clock(self) -> float:
        """Wall seconds, once the device has done all that it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def loaded(self) -> LoadedModel:
        """The model afresh, and a device that remembers no peak."""
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        return load_model(ModelConfig(name=self.model, dtype="float32"), self.device)

    def peak(self) -> float | None:
        """Most memory taken since then, in 10^9 bytes; None where it is not told apart."""
        return torch.cuda.max_memory_allocated() / 1e9 if self.device == "cuda" else None


def rows_of(tokenizer: Any, count: int, tokens: int) -> list[Row]:
    """Questions whose answers are bundled prose, drawn until a row is about so long."""
    draw = random.Random(0)
    prose = [row.answer for row in bundled_rows("legal_prose", "train")]
    rows = []
    for number in range(count):
        answer = draw.choice(prose)
        while len(tokenizer(answer)["input_ids"]) < tokens * 0.9:
            answer += " " + draw.choice(prose)
        ids = tokenizer(answer)["input_ids"][: tokens - 20]
        rows.append(Row(str(number), (Turn("user", f"Tell {number}."),), tokenizer.decode(ids)))
    return rows


def train_ours(m: Measuring, rows: Sequence[Row], config: TrainingConfig) -> tuple[float, int]:
    """Seconds of one stage, and its tokens."""
    loaded = m.loaded()
    task = Task(TaskConfig(name="prose", train="rows", test="rows"), tuple(rows), tuple(rows[:1]),
                (), 1)  # fmt: skip
    encoder, methods = Encoder(loaded.tokenizer, config), Compose()
    bench = Workbench(Stage(1, "1-prose", (task,)), loaded.model, loaded.tokenizer, encoder)
    schedule = build_schedule(bench, methods, config)
    with tempfile.TemporaryDirectory() as folder:
        started = m.clock()
        train_stage(bench, schedule, methods, config, Path(folder), lambda *_: None)
        return m.clock() - started, schedule.tokens


def train_peer(m: Measuring, rows: Sequence[Row], config: TrainingConfig) -> tuple[float, int]:
    """Seconds of TRL's SFTTrainer on the same rows, and the tokens of its dataset."""
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    loaded = m.loaded()
    data = [
        {
            "prompt": [{"role": "user", "content": row.prompt[-1].content}],
            "completion": [{"role": "assistant", "content": row.answer}],
        }
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        trainer: Any = SFTTrainer(
            loaded.model,
            args=SFTConfig(
                output_dir=folder,
                max_steps=m.steps,
                per_device_train_batch_size=config.batch_size,
                learning_rate=config.learning_rate,
                bf16=config.in_bfloat16(m.device),
                use_cpu=m.device == "cpu",
                max_length=config.max_length,
                save_strategy="no",
                logging_steps=1,
                report_to="none",
                disable_tqdm=True,
                **recomputation(config.gradient_checkpointing),
            ),
            train_dataset=Dataset.from_list(data),
            processing_class=loaded.tokenizer,
        )
        trainer.remove_callback(PrinterCallback)
        tokens = sum(len(row["input_ids"]) for row in trainer.train_dataset)
        started = m.clock()
        trainer.train()
        return m.clock() - started, tokens


def training(m: Measuring) -> None:
    """Tokens a second of ours and of TRL, with and without recomputed activations."""
    tokenizer = load_model(ModelConfig(name=m.model), "cpu").tokenizer
    rows = rows_of(tokenizer, m.steps * m.batch, m.tokens)
    m.tell(
        "", f"Training, {m.steps} steps of {m.batch} rows of about {m.tokens} tokens:", "",
        "| activations | ours, tokens/s | TRL's SFTTrainer | ours / TRL | ours, GB | TRL, GB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    )  # fmt: skip
    for recomputed in (False,) if m.quick else (False, True):
        config = TrainingConfig(
            steps=m.steps, batch_size=m.batch, max_length=2 * m.tokens, learning_rate=1e-5,
            gradient_checkpointing=recomputed, checkpoint_every=100_000,
        )  # fmt: skip
        speeds: dict[str, list[float]] = {"ours": [], "TRL": []}
        peaks: dict[str, float | None] = {}
        ways: dict[str, Callable[..., tuple[float, int]]] = {"ours": train_ours, "TRL": train_peer}
        for turn in range(m.turns + 1):
            for name, way in ways.items():
                seconds, tokens = way(m, rows, config)
                if turn or m.turns == 1:  # the first warms the device up
                    speeds[name].append(tokens / seconds)
                peaks[name] = m.peak()
            if m.turns == 1:
                break
        mine, theirs = median(speeds["ours"]), median(speeds["TRL"])
        m.tell(
            f"| {'recomputed' if recomputed else 'kept'} | {mine:,.0f} | {theirs:,.0f} | "
            f"{mine / theirs:.2f}× | {shown(peaks['ours'])} | {shown(peaks['TRL'])} |"
        )


def scoring_speed(m: Measuring) -> None:
    """Items a second of ours and of lm-evaluation-harness, and whether they pick the same."""
    from benchmarks.scoring import SETTINGS, TUNED_ON, Asked, best

    m.tell(
        "", f"Scoring, {m.items} items of 4 choices:", "",
        "| choices | ours, items/s | HFLM at its best batch | ours / HFLM | other picks |",
        "| --- | ---: | ---: | ---: | ---: |",
    )  # fmt: skip
    half = m.device == "cuda"
    config = ModelConfig(name=m.model, dtype="bfloat16" if half else "float32")
    loaded = load_model(config, m.device)
    sizes = (4, 16) if m.quick else (16, 64, 256)
    for setting in SETTINGS[:1] if m.quick else SETTINGS:
        asked = Asked.of(setting, m.items, loaded.tokenizer)
        few = asked.pairs[: TUNED_ON * 4]
        size = min(sizes, key=lambda each: scoring.peer(loaded, few, each, m.clock)[0])
        batch = 32 if m.quick else 128
        scoring.ours(loaded, asked, batch, m.clock)  # warms up, and finds out whether trees work
        took, mine = scoring.ours(loaded, asked, batch, m.clock)
        theirs_took, theirs = scoring.peer(loaded, asked.pairs, size, m.clock)
        picks = zip(
            best(mine, asked.task, by_character=False),
            best(theirs, asked.task, by_character=False),
            strict=True,
        )
        m.tell(
            f"| {setting.name} | {m.items / took:.1f} | {m.items / theirs_took:.1f} ({size}) | "
            f"{theirs_took / took:.2f}× | {sum(one != other for one, other in picks)} |"
        )


def overheads(m: Measuring) -> None:
    """What each method adds to the second stage of the same plain training."""
    m.tell(
        "", "Methods, the second of two stages against plain training (or LoRA, its peer):", "",
        "| method | seconds | against its peer | GB |", "| --- | ---: | ---: | ---: |",
    )  # fmt: skip
    rows, batch = (8, 4) if m.quick else (256, 16)
    prepared: dict[str, Any] = {
        "model": m.model,
        "sequence": [
            {"train": f"bundled:{task}", "train_limit": rows, "limit": 1}
            for task in (overhead.FIRST, "legal_prose")
        ],
        "training": {"epochs": 1, "batch_size": batch, "device": m.device,
                     "checkpoint_every": 100_000},
    }  # fmt: skip
    took: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for arm in OVERHEADS:
            if m.quick and arm.name not in QUICK_ARMS:
                continue
            m.loaded()
            plan = plan_of(Trial(arm, overhead.point(arm), 0), overhead.OVERHEAD, prepared)
            job = Job(arm.name.replace(" ", "-").replace("%", ""), plan)
            execute(job, Path(folder), fresh=m.device == "cuda")
            found = finished(job, Path(folder))
            assert found is not None
            if found.failed is not None:
                m.tell(f"| {arm.name} | not measured: {found.failed} |  |  |")
                continue
            took[arm.name] = found.stages[-1].seconds
            against = peer(arm)
            ratio = f"{took[arm.name] / took[against]:.2f}×" if against in took else ""
            memory = found.peak_memory_mb and found.peak_memory_mb / 1e3
            m.tell(f"| {arm.name} | {took[arm.name]:.2f} | {ratio} | {shown(memory)} |")


def shown(gigabytes: float | None) -> str:
    """Memory, or that it is not measured."""
    return "not measured" if gigabytes is None else f"{gigabytes:.2f}"


def left_out(m: Measuring) -> Iterator[str]:
    """What this call does not measure, and why."""
    if m.device != "cuda":
        why = "torch finds none" if not torch.cuda.is_available() else f"--device {m.device}"
        yield f"Not measured: anything of a CUDA GPU, bfloat16, and peak memory ({why})."
    if m.quick:
        yield f"Not measured, for --quick: methods but {', '.join(QUICK_ARMS)}; repeated turns."


def main(
    device: Annotated[str, typer.Option(help="cuda or cpu; cuda where there is one.")] = "",
    model: Annotated[str, typer.Option(help="Model to measure with.")] = MODEL,
    tokens: Annotated[int, typer.Option(help="Tokens of a training row.")] = 512,
    batch: Annotated[int, typer.Option(help="Rows of an optimiser step.")] = 16,
    steps: Annotated[int, typer.Option(help="Optimiser steps of a turn.")] = 30,
    turns: Annotated[int, typer.Option(help="Turns of ours and the peer.")] = 3,
    items: Annotated[int, typer.Option(help="Items scored.")] = 200,
    quick: Annotated[
        bool, typer.Option("--quick", help="A random model of two layers: tries the script out.")
    ] = False,
    log: Annotated[bool, typer.Option("--log", help="Add a section to benchmarks/LOG.md.")] = False,
) -> None:
    """Measure on a GPU; without one, say so."""
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if chosen == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter("torch finds no CUDA GPU; try it out with --device cpu --quick")
    if chosen == "cpu" and not quick:
        raise typer.BadParameter("no CUDA GPU: try the script out with --device cpu --quick")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="forgetless-gpu-") as folder:
        if quick:
            overhead.make_model(0, QUICK, Path(folder))
            model, tokens, batch, steps, turns, items = folder, 48, 4, 2, 1, 12
        m = Measuring(model, chosen, tokens, batch, steps, turns, items, quick)
        m.tell(*left_out(m))
        training(m)
        scoring_speed(m)
        overheads(m)
    if log:
        where = torch.cuda.get_device_name() if chosen == "cuda" else "cpu"
        told = circumstances(shlex.join(["python", "-m", "benchmarks.gpu", *sys.argv[1:]]),
                             torch.get_num_threads(), where)  # fmt: skip
        section = f"\n## {told['date']} · gpu, {where}\n\n{in_a_line(told)}\n"
        append_to_log(section + "\n".join(m.lines) + "\n")


if __name__ == "__main__":
    typer.run(main)

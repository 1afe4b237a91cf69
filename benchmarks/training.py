"""One epoch of plain training by us, by transformers.Trainer and by TRL's SFTTrainer: CPU seconds.

    python -m benchmarks.training --log

The same model, tokens, order of rows, batches and optimiser; the losses of every step are compared.
Each contestant trains in a process of its own, all in turn, and the turns are repeated.  The bound
is what the products of matrices alone take for real tokens at the speed at which this machine
multiplies, measured in the same run: 6 operations a weight and token, and the head's where a token
is learned.  What rows begin with alike counts as often as it stands there, so who computes it once
can come below.  Run from the root of the repository.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks.comparison import overhead, tiny
from benchmarks.comparison.records import append_to_log, circumstances, command, in_a_line
from forgetless.plan import ModelConfig, TaskConfig, TrainingConfig

MODELS = {
    "smollm2": "bundled:smollm2-135m-instruct",
    "13m": "a model of 13M parameters",
    "tiny": "the model of the tiny comparison",
}
ROWS = {  # what is learned, in the order of the length of its rows
    "short": "medical_facts",
    "prose": "legal_prose",
}
CONTESTANTS = ("ours", "trainer", "sft")
NAMES = {"ours": "forgetless", "trainer": "transformers.Trainer", "sft": "TRL SFTTrainer"}
WANTED = 0.5  # of SFTTrainer's CPU seconds, on short rows
RATE = 1e-5


def settings(batch: int) -> TrainingConfig:
    """One epoch, no warm-up: all contestants take the same steps."""
    return TrainingConfig(
        epochs=1,
        batch_size=batch,
        learning_rate=RATE,
        schedule="constant",
        warmup=0,
        device="cpu",
        checkpoint_every=100_000,
    )


def model_of(name: str) -> ModelConfig:
    """SmolLM2, or a model that is made here: with random weights, or the tiny one."""
    if name == "smollm2":
        return ModelConfig(name=MODELS[name])
    if name == "tiny":
        return ModelConfig(name=tiny.prepare(0)["model"])
    return ModelConfig(name=overhead.prepare("legal_prose", 96, 16, 0)["model"])


def train_as(who: str, model: str, kind: str, count: int, batch: int) -> dict[str, Any]:
    """One contestant's epoch, in this process."""
    import torch

    from forgetless.methods.compose import Compose
    from forgetless.methods.stage import Stage, Workbench
    from forgetless.models.load import load_model
    from forgetless.tasks.bundled import bundled_rows
    from forgetless.tasks.examples import Encoder
    from forgetless.tasks.task import Task
    from forgetless.training.schedule import build_schedule
    from forgetless.training.stage import peak_memory_mb, train_stage

    loaded = load_model(model_of(model))
    rows = tuple(bundled_rows(ROWS[kind], "train"))[:count]
    task = Task(TaskConfig(name=kind, train="rows", score="exact_match"), rows, rows[:1], (), 1)
    stage = Stage(1, f"1-{kind}", (task,))
    config = settings(batch)
    bench = Workbench(stage, loaded.model, loaded.tokenizer, Encoder(loaded.tokenizer, config))
    schedule = build_schedule(bench, Compose(), config)
    examples = [schedule.examples[int(index)] for index in schedule.order]
    losses: list[float] = []
    before = peak_memory_mb()
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        if who == "ours":
            train_stage(
                bench,
                schedule,
                Compose(),
                config,
                Path(folder),
                lambda _step, _steps, logs: losses.append(logs["loss"]),
            )
        else:
            trainer = (_sft if who == "sft" else _plain)(loaded, examples, batch, folder)
            started = time.process_time()
            trainer.train()
            losses += [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        seconds = time.process_time() - started
    learned = sum(sum(example.learned[1:]) for example in examples)
    tokens = sum(map(len, examples))
    head = loaded.model.get_output_embeddings().weight.numel()
    inside = sum(p.numel() for p in loaded.model.parameters() if p.ndim > 1) - head
    if not loaded.model.config.tie_word_embeddings:
        inside -= head  # looking a token up multiplies nothing
    return {
        "cpu_seconds": seconds,
        "losses": losses,
        "memory_mb": peak_memory_mb() - before,
        "tokens": tokens,
        "learned": learned,
        "operations": 6 * (tokens * inside + learned * head),
        "threads": torch.get_num_threads(),
    }


def _arguments(batch: int, folder: str) -> dict[str, Any]:
    return {
        "output_dir": folder,
        "num_train_epochs": 1,
        "per_device_train_batch_size": batch,
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "logging_strategy": "steps",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": False,
        "seed": 0,
    }


def _sft(loaded: Any, examples: Sequence[Any], batch: int, folder: str) -> Any:
    """TRL's trainer on the same tokens; recomputing activations, its default, is turned off."""
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    rows = [
        {"input_ids": list(example.ids), "completion_mask": [int(t) for t in example.learned]}
        for example in examples
    ]
    names = SFTConfig.__dataclass_fields__
    recompute = next(
        n for n in ("gradient_checkpointing", "activation_checkpointing") if n in names
    )
    arguments = SFTConfig(
        **_arguments(batch, folder) | {recompute: False},
        max_length=None,
        completion_only_loss=True,
    )
    return SFTTrainer(
        loaded.model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=loaded.tokenizer,
    )


def _plain(loaded: Any, examples: Sequence[Any], batch: int, folder: str) -> Any:
    """The library's trainer with its collator for labels."""
    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    rows = [
        {
            "input_ids": list(example.ids),
            "attention_mask": [1] * len(example),
            "labels": [
                token if learned else -100
                for token, learned in zip(example.ids, example.learned, strict=True)
            ],
        }
        for example in examples
    ]
    loaded.tokenizer.padding_side = "right"
    return Trainer(
        loaded.model,
        args=TrainingArguments(**_arguments(batch, folder)),
        train_dataset=Dataset.from_list(rows),
        data_collator=DataCollatorForSeq2Seq(loaded.tokenizer),
    )


def speed(threads: int) -> float:
    """Operations a second of products of matrices as large as a layer's, on the CPU."""
    import torch

    torch.set_num_threads(threads)
    a, b = torch.randn(512, 576), torch.randn(576, 1536)
    best = 0.0
    for _ in range(20):
        started = time.process_time()
        for _ in range(10):
            a @ b
        best = max(best, 10 * 2 * 512 * 576 * 1536 / (time.process_time() - started))
    return best


def in_a_process(who: str, *arguments: str) -> dict[str, Any]:
    """The epoch of one contestant, in a process of its own."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        call = [sys.executable, "-m", "benchmarks.training", *arguments, "--one", who]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "FORGETLESS_TO": file.name}
        finished = subprocess.run(call, env=environment, capture_output=True, text=True)
        if finished.returncode:
            raise SystemExit(f"{who} failed:\n{finished.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(Path(file.name).read_text())
        return found


def main(
    model: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")] = "smollm2",
    kind: Annotated[str, typer.Option(help=f"Rows: one of {', '.join(ROWS)}.")] = "short",
    rows: Annotated[int, typer.Option(help="Rows of the epoch.")] = 96,
    batch: Annotated[int, typer.Option(help="Rows of a step.")] = 16,
    repeats: Annotated[int, typer.Option(help="Turns of all contestants.")] = 2,
    one: Annotated[str, typer.Option(hidden=True)] = "",
    log: Annotated[bool, typer.Option("--log", help="Add a section to benchmarks/LOG.md.")] = False,
) -> None:
    """Measure an epoch of every contestant."""
    if one:
        found = train_as(one, model, kind, rows, batch)
        Path(os.environ["FORGETLESS_TO"]).write_text(json.dumps(found))
        return
    options = ["--model", model, "--kind", kind, "--rows", str(rows), "--batch", str(batch)]
    turns = [
        {who: in_a_process(who, *options) for who in CONTESTANTS[:: 1 if turn % 2 else -1]}
        for turn in range(repeats)
    ]
    first = turns[0]["ours"]
    bound = first["operations"] / speed(1)
    lines = [
        "| | CPU s | of SFTTrainer's | of the bound | memory, MB | furthest loss |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for who in CONTESTANTS:
        seconds = [turn[who]["cpu_seconds"] for turn in turns]
        ratio = median(turn[who]["cpu_seconds"] / turn["sft"]["cpu_seconds"] for turn in turns)
        apart = max(
            abs(a - b)
            for turn in turns
            for a, b in zip(turn[who]["losses"], turn["sft"]["losses"], strict=True)
        )
        memory = median(turn[who]["memory_mb"] for turn in turns)
        lines.append(
            f"| {NAMES[who]} | {', '.join(f'{s:.1f}' for s in seconds)} | {ratio:.2f}× "
            f"| {median(seconds) / bound:.2f}× | {memory:.0f} | {apart:.1e} |"
        )
    shown = "\n".join(
        [
            *lines,
            "",
            f"{rows} rows, {first['tokens']} tokens, {first['learned']} of them learned, batches "
            f"of {batch}; bound {bound:.1f} CPU s, for every token as often as it stands there. "
            f"Wanted on short rows: {WANTED}× of SFTTrainer's.",
            "",
        ]
    )
    typer.echo(shown)
    if log:
        facts = circumstances(command("training", sys.argv[1:]), 1, "cpu")
        append_to_log(f"\n## {facts['date']} · training, plain\n\n{in_a_line(facts)}\n\n{shown}")


if __name__ == "__main__":
    typer.run(main)

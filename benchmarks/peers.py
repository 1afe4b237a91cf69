"""The same three tasks on the tiny model, by forgetless and by what others offer for the purpose.

    pip install --no-deps soup-cli==0.77.0 pyrecall==0.12.1 avr-cl==0.1.0
    python -m benchmarks.peers

A peer that is not installed is left out, and said so.  Licences: soup-cli Apache-2.0, pyrecall and
avr-cl MIT, peft Apache-2.0.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.comparison import tiny
from benchmarks.comparison.records import append_to_log, circumstances, command, in_a_line
from benchmarks.repair import scored
from forgetless import run
from forgetless.models.load import LoadedModel, load_model
from forgetless.plan import ModelConfig, make_plan
from forgetless.preparation import prepare
from forgetless.storage import write_text
from forgetless.tasks.matching import MATCHERS
from forgetless.tasks.render import Encoded
from forgetless.tasks.task import Task

WHOLE, ADAPTER = 7e-4, 2.1e-3
"""Learning rates: the usual one of the whole model here, and the best one of an adapter."""

OSF, SHARE = 2e-3, 0.25
"""What our osf was best with here (docs/methods)."""

Scores = Mapping[str, float]
Arm = Callable[[dict[str, Any], tuple[Task, ...], Path], Scores]


def ours(methods: Any, rate: float) -> Arm:
    """A plan of forgetless."""

    def carried_out(settings: dict[str, Any], tasks: tuple[Task, ...], folder: Path) -> Scores:
        training = settings["training"] | {"learning_rate": rate}
        matrix = run(
            **settings | {"methods": methods, "training": training, "output": str(folder)}
        ).matrix
        return {task.name: matrix.score(matrix.last, task.name) for task in tasks}

    return carried_out


def soup_replay(settings: dict[str, Any], tasks: tuple[Task, ...], folder: Path) -> Scores:
    """Rows mixed by soup-cli (its default ratio of 10%), then trained plainly."""
    mix = import_module("soup_cli.utils.rehearsal").mix_replay
    folder.mkdir(parents=True)
    earlier: list[dict[str, Any]] = []
    sequence = []
    for task in settings["sequence"]:
        new = [json.loads(line) for line in Path(task["train"]).read_text().splitlines()]
        rows, _ = mix(new, earlier, ratio=0.1, seed=settings["training"]["seed"])
        mixed = folder / f"{task['name']}.jsonl"
        marked = [row | {"id": str(number)} for number, row in enumerate(rows)]
        write_text(mixed, "".join(json.dumps(row) + "\n" for row in marked))
        sequence.append(task | {"train": str(mixed)})
        earlier += new
    return ours([], WHOLE)(settings | {"sequence": sequence}, tasks, folder / "run")


def pyrecall(rate: float, epochs: int, batch: int | None = None) -> Arm:
    """Its ``learn`` on one task after the other: LoRA, with its replay buffer (30%)."""

    def carried_out(settings: dict[str, Any], tasks: tuple[Task, ...], folder: Path) -> Scores:
        made = import_module("pyrecall").Model(
            settings["model"], device="cpu", snapshot_dir=folder / "snapshots", learning_rate=rate
        )
        for task in tasks:
            if task.trained_in is None:
                continue
            renderer = task.renderer(made.tokenizer)
            texts = [made.tokenizer.decode(renderer.encode(row)[-1].ids) for row in task.train]
            file = folder / f"{task.name}.jsonl"
            write_text(file, "".join(json.dumps({"text": text}) + "\n" for text in texts))
            made.learn(str(file), epochs=epochs, batch_size=batch)
        return scored(LoadedModel(made.model, made.tokenizer), tasks)

    return carried_out


def avr(rate: float, epochs: int, context: int, accumulation: int) -> Arm:
    """Its ``run``: LoRA, perplexity of old tasks checked after each, merged back if it rose."""

    def carried_out(settings: dict[str, Any], tasks: tuple[Task, ...], folder: Path) -> Scores:
        del folder
        trained = [task for task in tasks if task.trained_in is not None]
        found = import_module("avr").run(
            settings["model"],
            [
                (
                    task.name,
                    [(row.prompt[-1].content, row.answer, row.answer) for row in task.train],
                    [(row.prompt[-1].content, row.answer, row.answer) for row in task.test],
                )
                for task in trained
            ],
            epochs=epochs,
            lr=rate,
            ctx_len=context,
            grad_accum=accumulation,
            scorer=lambda said, gold: MATCHERS["exact_match"](said.split(".")[0], [gold]),
            device="cpu",
            seed=settings["training"]["seed"],
        )
        return dict(zip(found["task_order"], found["R"][-1], strict=True))

    return carried_out


def peft_osf(rate: float, share: float, ending: str) -> Arm:
    """OSF of peft under `transformers.Trainer`, task after task, with our batches and schedule.

    Args:
        rate: Learning rate.
        share: Share of each weight's singular directions that is protected.
        ending: How the model of the next task is made of this one: the name of a method of peft.
    """

    def carried_out(settings: dict[str, Any], tasks: tuple[Task, ...], folder: Path) -> Scores:
        from peft import OSFConfig, get_peft_model
        from transformers import Trainer, TrainingArguments

        loaded = load_model(ModelConfig(name=settings["model"]), "cpu")
        model, training = loaded.model, settings["training"]
        for task in tasks:
            if task.trained_in is None:
                continue
            renderer = task.renderer(loaded.tokenizer)
            rows = [example for row in task.train for example in renderer.encode(row)]
            steps = training["epochs"] * math.ceil(len(rows) / training["batch_size"])
            model.requires_grad_(True)
            adapted = get_peft_model(
                model, OSFConfig(effective_rank=share, target_modules="all-linear")
            )
            Trainer(
                adapted,
                TrainingArguments(
                    str(folder / task.name),
                    max_steps=steps,
                    per_device_train_batch_size=training["batch_size"],
                    learning_rate=rate,
                    warmup_steps=round(0.1 * steps),
                    weight_decay=0.0,
                    seed=training["seed"],
                    save_strategy="no",
                    report_to="none",
                    disable_tqdm=True,
                    use_cpu=True,
                    dataloader_pin_memory=False,
                ),
                train_dataset=rows,
                data_collator=_padded(loaded.tokenizer.pad_token_id),
            ).train()
            model = getattr(adapted, ending)()
        return scored(LoadedModel(model, loaded.tokenizer), tasks)

    return carried_out


def _padded(pad: int) -> Callable[[Sequence[Encoded]], dict[str, Any]]:
    """Puts rows together, padded on the right; only learned tokens are labels."""

    def collate(rows: Sequence[Encoded]) -> dict[str, Any]:
        import torch

        longest = max(map(len, rows))
        spare = [longest - len(row) for row in rows]
        labels = [
            [
                token if learned else -100
                for token, learned in zip(row.ids, row.learned, strict=True)
            ]
            for row in rows
        ]
        return {
            "input_ids": torch.tensor(
                [row.ids + [pad] * more for row, more in zip(rows, spare, strict=True)]
            ),
            "attention_mask": torch.tensor(
                [[1] * len(row) + [0] * more for row, more in zip(rows, spare, strict=True)]
            ),
            "labels": torch.tensor(
                [own + [-100] * more for own, more in zip(labels, spare, strict=True)]
            ),
        }

    return collate


EPOCHS = 44  # as the setting's own
ARMS: dict[str, tuple[str, Arm]] = {
    "plain": ("", ours([], WHOLE)),
    "joint": ("", ours(["joint"], WHOLE)),
    "forgetless, auto": ("", ours("auto", WHOLE)),
    "forgetless, replay 10%": ("", ours([{"replay": {"ratio": 0.1}}], WHOLE)),
    "soup-cli's replay 10%, trained plainly": ("soup_cli", soup_replay),
    "forgetless, lora": ("", ours(["lora"], ADAPTER)),
    "forgetless, lora + replay 30%": ("", ours(["lora", {"replay": {"ratio": 0.3}}], ADAPTER)),
    "forgetless, osf": ("", ours([{"osf": {"share": SHARE}}], OSF)),
    "peft's OSF, merge_and_unload after each task": ("", peft_osf(OSF, SHARE, "merge_and_unload")),
    "peft's OSF, unload after each task": ("", peft_osf(OSF, SHARE, "unload")),
    "pyrecall, its defaults": ("pyrecall", pyrecall(2e-4, 3)),
    "pyrecall, rate, epochs and batches as ours": ("pyrecall", pyrecall(ADAPTER, EPOCHS, 16)),
    "avr-cl, its defaults": ("avr", avr(2e-4, 3, 512, 4)),
    "avr-cl, rate, epochs and steps as ours": ("avr", avr(ADAPTER, EPOCHS, 64, 1)),
}


def main(
    seeds: Annotated[str, typer.Option(help="Seeds, e.g. 0,1,2.")] = "0,1,2",
    only: Annotated[str, typer.Option(help="Only arms whose name holds this.")] = "",
    log: Annotated[bool, typer.Option("--log", help="Add a section to benchmarks/LOG.md.")] = False,
) -> None:
    """Measure forgetless beside its peers."""
    numbers = [int(part) for part in seeds.split(",")]
    names = ["city", "colour", "food", "pet"]
    lines = [
        f"| arm | {' | '.join(names)} | average of the first three (lowest to highest seed) |",
        f"| --- |{' ---: |' * (len(names) + 1)}",
    ]
    for name, (package, arm) in ARMS.items():
        if only not in name:
            continue
        try:
            import_module(package or "forgetless")
        except ImportError:
            lines.append(f"| {name} | not installed |")
            continue
        found = [one_run(arm, seed) for seed in numbers]
        means = [np.mean([scores[task] for task in names[:3]]) for scores in found]
        cells = [
            f"{np.mean([scores[task] for scores in found]):.2f}" if task in found[0] else "–"
            for task in names
        ]
        spread = f"{np.mean(means):.2f} ({min(means):.2f} to {max(means):.2f})"
        lines.append(f"| {name} | {' | '.join(cells)} | {spread} |")
        typer.echo(lines[-1])
    shown = "\n".join(lines) + "\n"
    typer.echo(shown)
    if log:
        facts = circumstances(command("peers", sys.argv[1:]), 1, "cpu")
        append_to_log(f"\n## {facts['date']} · peers\n\n{in_a_line(facts)}\n\n{shown}")


def one_run(arm: Arm, seed: int) -> Scores:
    """Final scores of an arm; what it prints is not of interest."""
    import torch

    settings = tiny.prepare(seed)
    tasks = prepare(make_plan(settings | {"methods": []}, "peers")).tasks
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    with (
        tempfile.TemporaryDirectory(prefix="forgetless-peers-") as folder,
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        return arm(settings, tasks, Path(folder) / "arm")


if __name__ == "__main__":
    typer.run(main)

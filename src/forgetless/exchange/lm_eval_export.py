"""Our results in the layout of lm-evaluation-harness, for tools that read its files.

Fields and hashes are those of lm-evaluation-harness 0.4.13 (``evaluator.py``,
``loggers/evaluation_tracker.py``).  What it has and we do not know is null; likelihoods of single
choices are not kept by us, so ``resps`` holds the answer in words.  What we know and it has no
place for is in the field ``forgetless`` of a sample: group and level of an item, and why it has no
score.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forgetless.errors import DataError
from forgetless.evaluation.result import ItemResult
from forgetless.exchange.imported import text_hash
from forgetless.exchange.lm_eval_samples import OWN
from forgetless.storage import make_folder, write_json, write_text

MULTIPLE_CHOICE = "multiple_choice"


@dataclass(frozen=True)
class AnsweredTask:
    """One task as one model answered it.

    Attributes:
        name: Its name.
        scorer: ``multiple_choice``, or the scorer of free answers.
        items: Its items, with and without a score.
        conditions: How it was put; a reader of ours compares them.
        description: One line about it.
        levels: Item id to its level, where the items are graded.
    """

    name: str
    scorer: str
    items: Sequence[ItemResult]
    conditions: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    levels: Mapping[str, str] = field(default_factory=dict)


def export_lm_eval(
    folder: Path, model: str, tasks: Sequence[AnsweredTask], date: datetime | None = None
) -> Path:
    """Write ``MODEL/results_DATE.json`` and a ``MODEL/samples_TASK_DATE.jsonl`` for each task.

    An item without a score stands there with its error, and is in no figure.

    Args:
        folder: The output folder; it is made.
        model: Name of the model.
        tasks: What it answered.
        date: When; now if not given.

    Returns:
        The results file.

    Raises:
        DataError: if two tasks would share a file.
    """
    stamp = (date or datetime.now(UTC)).replace(tzinfo=None).isoformat().replace(":", "-")
    sanitized = re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model)
    place = folder / sanitized
    make_folder(place)
    names = [_file_name(task.name) for task in tasks]
    if len(set(names)) < len(names):
        raise DataError(f"two of the tasks {', '.join(names)} would be written to the same file")
    found: dict[str, Any] = {
        **{part: {} for part in ("results", "group_subtasks", "configs", "versions", "n-shot")},
        **{part: {} for part in ("higher_is_better", "n-samples")},
        "config": {"model": "forgetless", "model_args": None, "gen_kwargs": None, "limit": None},
        "git_hash": None,
        "date": (date or datetime.now(UTC)).timestamp(),
        "task_hashes": {},
        "model_source": "forgetless",
        "model_name": model,
        "model_name_sanitized": sanitized,
        **dict.fromkeys(("system_instruction", "system_instruction_sha", "chat_template_sha")),
        **dict.fromkeys(("chat_template", "fewshot_as_multiturn")),
    }
    for name, task in zip(names, tasks, strict=True):
        metrics = _metrics(task)
        samples = [
            _sample(n, item, metrics, task.levels.get(item.item, ""))
            for n, item in enumerate(task.items)
        ]
        # ASCII only: a lone surrogate in a model's output has no other way into a file
        lines = [json.dumps(sample, allow_nan=False) for sample in samples]
        write_text(place / f"samples_{name}_{stamp}.jsonl", "".join(f"{one}\n" for one in lines))
        found["results"][name] = _figures(name, samples, metrics)
        found["configs"][name] = {
            "task": name,
            "description": task.description,
            "output_type": _output_type(task),
            "metric_list": [
                {"metric": metric, "aggregation": "mean", "higher_is_better": metric != "nll"}
                for metric in metrics
            ],
            "repeats": 1,
            "metadata": {"conditions": dict(task.conditions)},
        }
        found["versions"][name], found["n-shot"][name] = "N/A", 0
        found["higher_is_better"][name] = {metric: metric != "nll" for metric in metrics}
        found["n-samples"][name] = dict.fromkeys(("original", "effective"), len(samples))
        hashes = [s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in samples]
        found["task_hashes"][name] = text_hash("".join(hashes))
    results = place / f"results_{stamp}.json"
    write_json(results, found)
    return results


def _file_name(task: str) -> str:
    """A task's name as part of a file's; lm_eval's own names have no such signs."""
    return re.sub(r"[\"<>:/|\\?*\[\]\s]+", "_", task)


def _output_type(task: AnsweredTask) -> str:
    if task.scorer == MULTIPLE_CHOICE:
        return MULTIPLE_CHOICE
    return "loglikelihood" if task.scorer == "nll" else "generate_until"


def _metrics(task: AnsweredTask) -> tuple[str, ...]:
    """Names of the metrics of every item with a score, the one that is the score first."""
    answered = [item for item in task.items if item.score is not None]
    given = dict.fromkeys(name for item in answered for name in item.readings)
    names = [name for name in given if all(name in item.readings for item in answered)]
    score = next((n for n in names if all(i.readings[n] == i.score for i in answered)), None)
    usual = {MULTIPLE_CHOICE: "acc", "nll": "log_likelihood"}.get(task.scorer, task.scorer)
    first = task.scorer if task.scorer in names and score is not None else score or usual
    return (first, *(name for name in names if name != first))


def _sample(number: int, item: ItemResult, metrics: Sequence[str], level: str) -> dict[str, Any]:
    document = {
        "id": item.item,
        "prompt": item.prompt,
        "gold": item.gold,
        **({} if item.choices is None else {"choices": list(item.choices)}),
    }
    asked: Sequence[Any] = [f" {one}" for one in item.choices] if item.choices else [{}]
    values = {
        name: item.score if n == 0 else item.readings.get(name) for n, name in enumerate(metrics)
    }
    own = {"group": item.group, "level": level, "error": item.error}
    told = {name: value for name, value in own.items() if value}
    return {
        "doc_id": number,
        "doc": document,
        "target": item.gold,
        "arguments": {
            f"gen_args_{n}": {"arg_0": item.prompt, "arg_1": one} for n, one in enumerate(asked)
        },
        "resps": [[item.output]],
        "filtered_resps": [item.answer],
        "filter": "none",
        "metrics": list(metrics),
        "doc_hash": text_hash(json.dumps(document, indent=2, ensure_ascii=False)),
        "prompt_hash": text_hash(item.prompt),
        "target_hash": text_hash(item.gold),
        **values,
        **({OWN: told} if told else {}),
    }


def _figures(
    name: str, samples: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> dict[str, Any]:
    """Means over the items with a score, each with its standard error.

    That is the sample standard deviation over the root of their number n.
    """
    found: dict[str, Any] = {"name": name, "alias": name, "sample_len": len(samples)}
    for metric in metrics:
        values = [float(sample[metric]) for sample in samples if sample[metric] is not None]
        if not values:
            continue
        n = len(values)
        mean = math.fsum(values) / n
        found[f"{metric},none"] = mean
        spread = math.fsum((value - mean) ** 2 for value in values)
        found[f"{metric}_stderr,none"] = math.sqrt(spread / (n - 1) / n) if n > 1 else "N/A"
    return found

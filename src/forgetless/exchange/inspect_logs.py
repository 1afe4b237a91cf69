"""Logs of inspect_ai, in both of its formats: ``.eval`` (a zip archive) and ``.json``.

Source: inspect_ai 0.3, ``log/_log.py`` and ``log/_recorders/eval.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forgetless.errors import DataError, NotMeasured
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.subject import Conditions
from forgetless.exchange.imported import Imported, ImportedTask, briefly, files_hash, text_hash
from forgetless.exchange.inspect_files import log_files, looks_like_a_log, read_header, read_samples
from forgetless.exchange.json_files import AGAIN, as_number, part
from forgetless.exchange.shapes import InspectLog, InspectSample, check_shape
from forgetless.tasks.twins import with_twins

SCORES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""Correct, partial, incorrect, no answer; as inspect's own ``value_to_float`` reads them."""

_SURROUNDINGS = ("metadata", "files", "setup", "sandbox")
"""What else a sample says of its task: a prompt may be filled from it, an agent may find it."""


@dataclass(frozen=True)
class _Log:
    file: Path
    header: Mapping[str, Any]

    @property
    def evaluation(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = part(self.header, "eval", dict, str(self.file))
        return found

    @property
    def task(self) -> str:
        return str(part(self.evaluation, "task", str, f"{self.file}: eval"))

    @property
    def created(self) -> str:
        return str(part(self.evaluation, "created", str, f"{self.file}: eval"))

    @property
    def time(self) -> datetime:
        """When it was created; without a time zone in UTC."""
        try:
            found = datetime.fromisoformat(self.created)
        except ValueError:
            raise DataError(
                f"{self.file}: eval: created: found {self.created!r}, needed a date", fix=AGAIN
            ) from None
        return found if found.tzinfo else found.replace(tzinfo=UTC)


def has_inspect_logs(path: Path) -> bool:
    """Whether a path is a log of inspect, or a folder that holds some."""
    if path.is_file():
        return path.suffix == ".eval" or (path.suffix == ".json" and looks_like_a_log(path))
    return bool(log_files(path))


def read_inspect(path: Path, scorers: Mapping[str, str] | None = None) -> Imported:
    """Read the newest finished log of every task.

    Args:
        path: A log, or a folder of logs.
        scorers: Task to the scorer that counts, where the first is not the one wanted.

    Returns:
        The tasks.  With several epochs each answer is an item of its own, and the epochs of a
        sample are one group, as are samples that ask the same.

    Raises:
        DataError: if the logs are of several models, none is finished, or one is malformed.
    """
    logs = [_Log(file, read_header(file)) for file in log_files(path)]
    for log in logs:
        check_shape(log.header, InspectLog, str(log.file))
    newest: dict[str, _Log] = {}
    notes: list[str] = []
    for log in sorted(logs, key=lambda log: log.time):
        if log.header.get("status") != "success":
            reason = f"{log.file.name}: its status is {log.header.get('status')!r}: passed over"
            notes.append(reason)
            continue
        if log.task in newest:
            notes.append(f"{log.task}: several logs found, the newest was taken ({log.created})")
        newest[log.task] = log
    if not newest:
        raise DataError(
            f"{path}: no finished log" + "".join(f"\n  {note}" for note in notes),
            fix="run  inspect eval-retry  on it, or the evaluation again",
        )
    models = {str(log.evaluation.get("model")): log.file.name for log in newest.values()}
    if len(models) > 1:
        told = ", ".join(f"{model} ({file})" for model, file in models.items())
        raise DataError(
            f"{path}: logs of several models: {told}; needed those of one",
            fix="name a single log, or move the logs of each model to a folder of its own",
        )
    tasks, left_out = [], {}
    named = _by_name(newest)
    unknown = sorted(set(scorers or {}) - set(named))
    if unknown:
        raise DataError(f"{path}: no task {unknown[0]!r}; there are {', '.join(sorted(named))}")
    for name, log in sorted(named.items()):
        try:
            tasks.append(_task(name, log, (scorers or {}).get(name)))
        except NotMeasured as reason:
            left_out[name] = reason.message
    if not tasks:
        reasons = "\n".join(f"  {name}: {reason}" for name, reason in left_out.items())
        raise DataError(f"{path}: no task can be compared item by item\n{reasons}")
    return Imported(
        format="inspect",
        folder=str(path),
        model=next(iter(models)),
        identity=files_hash(log.file for log in newest.values()),
        date=max(newest.values(), key=lambda log: log.time).created,
        tasks=tuple(tasks),
        left_out=left_out,
        notes=tuple(dict.fromkeys(notes)),
        versions={
            str(name): str(version)
            for log in newest.values()
            for name, version in (log.evaluation.get("packages") or {}).items()
        },
    )


def _by_name(logs: Mapping[str, _Log]) -> dict[str, _Log]:
    """Tasks without the package they come from, where that leaves their names different."""
    ends = [task.rsplit("/", 1)[-1] for task in logs]
    return {
        end if ends.count(end) == 1 else task: log
        for end, (task, log) in zip(ends, logs.items(), strict=True)
    }


def _task(name: str, log: _Log, wanted: str | None) -> ImportedTask:
    samples = list(read_samples(log.file, log.header))
    for place, sample in samples:
        check_shape(sample, InspectSample, place)
    expected = (log.header.get("results") or {}).get("total_samples")
    if not samples:
        raise DataError(f"{log.file}: no samples", fix="run inspect without  --no-log-samples")
    if expected is not None and len(samples) != expected:
        raise DataError(
            f"{log.file}: {len(samples)} samples, but its header speaks of {expected}", fix=AGAIN
        )
    scorer, others = _scorer(samples, wanted)
    several = len({sample.get("epoch", 1) for _, sample in samples}) > 1
    items: dict[str, ItemResult] = {}
    prints, epochs, asked = {}, {}, {}
    for place, sample in samples:
        if "id" not in sample or "input" not in sample:
            raise DataError(f"{place}: no id or no input, needed both", fix=AGAIN)
        epoch = sample.get("epoch", 1)
        key = str(sample["id"]) if epoch == 1 else f"{sample['id']} (epoch {epoch})"
        if key in items:
            raise DataError(f"{place}: sample {key!r} stands there twice", fix=AGAIN)
        items[key] = _item(name, key, sample, scorer, others)
        prints[key] = {
            "prompts": _hashed(sample["input"]),
            "targets": _hashed(sample.get("target")),
            "choices": _hashed(sample.get("choices")),
        }
        surroundings = (_hashed(sample.get(name)) for name in _SURROUNDINGS)
        asked[key] = text_hash("".join((*prints[key].values(), *surroundings)))
        if several:
            epochs[key] = str(sample["id"])
    return ImportedTask(
        name=name,
        unit="accuracy",
        scorer=scorer,
        items=tuple(items.values()),
        conditions=Conditions(_conditions(log, scorer)),
        prints=prints,
        groups=with_twins(epochs, asked),
    )


def _scorer(
    samples: list[tuple[str, Mapping[str, Any]]], wanted: str | None
) -> tuple[str, list[str]]:
    """The scorer that counts, and the others that score every item between 0 and 1.

    Raises:
        NotMeasured: if there is none, with the reason.
    """
    names = dict.fromkeys(name for _, sample in samples for name in sample.get("scores") or {})
    reasons: dict[str, str] = {}
    for name in names:
        given = [(sample.get("scores") or {}).get(name, {}).get("value") for _, sample in samples]
        values = [_value(value) for value in given if value is not None]
        strange = [raw for raw, v in zip(filter(_given, given), values, strict=True) if v is None]
        if strange:
            reasons[name] = f"found the value {json.dumps(strange[0])[:60]}, needed one in [0, 1]"
    usable = [name for name in names if name not in reasons]
    if wanted is not None and wanted not in usable:
        why = reasons.get(wanted, f"not there; there are {', '.join(names) or 'none'}")
        raise NotMeasured(f"the scorer {wanted}: {why}")
    if not usable:
        told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise NotMeasured(f"no scorer can be compared item by item ({told or 'there is none'})")
    scorer = wanted or usable[0]
    return scorer, [name for name in usable if name != scorer]


def _given(value: Any) -> bool:
    return value is not None


def _value(value: Any) -> float | None:
    """A score in [0, 1]; NaN is kept, since inspect writes it for what was not scored."""
    if isinstance(value, str) and value in SCORES:
        return SCORES[value]
    number = as_number(value)
    return number if number is not None and (math.isnan(number) or 0 <= number <= 1) else None


def _item(
    task: str, key: str, sample: Mapping[str, Any], scorer: str, others: list[str]
) -> ItemResult:
    scores = sample.get("scores") or {}
    readings = {}
    for name in (scorer, *others):
        value = _value(scores.get(name, {}).get("value"))
        if value is not None and not math.isnan(value):
            readings[name] = value
    target = sample.get("target")
    gold = " / ".join(map(str, target)) if isinstance(target, list) else str(target)
    output = (sample.get("output") or {}).get("completion")
    answer = scores.get(scorer, {}).get("answer")
    choices = sample.get("choices")
    told = ItemResult(
        task=task,
        item=key,
        prompt=_prompt(sample["input"]),
        gold=gold,
        choices=tuple(map(str, choices)) if choices else None,
    )
    error = sample.get("error")
    if error or scorer not in readings:
        message = str((error or {}).get("message", "")) or f"{scorer} gave no score"
        return replace(told, error=message.splitlines()[0])
    score = readings[scorer]
    return replace(
        told,
        output=None if output is None else str(output),
        answer=None if answer is None else str(answer),
        score=score,
        correct=score == 1.0 if score in (0.0, 1.0) else None,
        readings=readings,
    )


def _prompt(given: Any) -> str:
    """The input as text; messages one below the other."""
    if isinstance(given, str):
        return given
    return "\n".join(f"{message.get('role')}: {_text(message.get('content'))}" for message in given)


def _text(content: Any) -> str:
    """What a message says; of parts that are no text their kind, such as ``[image]``."""
    if not isinstance(content, list):
        return str(content)
    parts = (part if isinstance(part, Mapping) else {"text": part} for part in content)
    return "\n".join(str(part.get("text", f"[{part.get('type')}]")) for part in parts)


def _hashed(given: Any) -> str:
    """Hash of what was asked; messages without the ids that each run draws anew."""
    if isinstance(given, list):
        given = [
            {key: value for key, value in one.items() if key != "id"} if isinstance(one, dict)
            else one
            for one in given
        ]  # fmt: skip
    return text_hash(json.dumps(given, sort_keys=True, ensure_ascii=False))


def _conditions(log: _Log, scorer: str) -> dict[str, str]:
    evaluation, plan = log.evaluation, log.header.get("plan") or {}
    dataset = evaluation.get("dataset") or {}
    steps = [
        {"solver": step.get("solver"), "params": step.get("params") or {}}
        for step in plan.get("steps") or []
    ]
    scorers = {one.get("name"): one.get("options") for one in evaluation.get("scorers") or []}
    config = evaluation.get("config") or {}
    limits = ("message_limit", "token_limit", "time_limit", "working_limit", "epochs_reducer")
    found = {
        "task version": evaluation.get("task_version"),
        "task arguments": evaluation.get("task_args") or {},
        "dataset": dataset.get("name"),
        "solver plan": steps,
        "generation settings": {**(plan.get("config") or {}), **_generation(evaluation)},
        "limits": {name: config[name] for name in limits if config.get(name) is not None},
        "scorer": scorer,
        "scorer options": scorers.get(scorer) or {},
    }
    return {name: briefly(value) for name, value in found.items()}


def _generation(evaluation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings that decide answers; how the server is reached does not."""
    passing = {"max_retries", "timeout", "attempt_timeout", "max_connections", "batch", "cache"}
    given = evaluation.get("model_generate_config") or {}
    return {name: value for name, value in given.items() if name not in passing}

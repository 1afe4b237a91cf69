"""Results of lm-evaluation-harness: ``results_DATE.json`` beside ``samples_TASK_DATE.jsonl``.

Source: lm-evaluation-harness 0.4.13, ``loggers/evaluation_tracker.py`` and ``result_schema.py``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetless.errors import DataError, NotMeasured
from forgetless.exchange.imported import Imported, ImportedTask, briefly, files_hash
from forgetless.exchange.json_files import AGAIN, part, read_lines, read_object
from forgetless.exchange.lm_eval_samples import About, imported_task
from forgetless.exchange.shapes import LmEvalResults, LmEvalSample, check_shape

DATE = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?"
_RESULTS = re.compile(rf"(?:.*_)?({DATE})\.json")
_SAMPLES = re.compile(rf"samples_(.+)_({DATE})\.jsonl")

# Settings that say where data, names and figures come from, not what is asked: what is asked is
# held by the hash of every document, prompt and target.
_NOT_ASKED = frozenset(
    [
        *("task", "task_alias", "group", "group_alias", "tag", "metadata", "config_source"),
        *("dataset_path", "dataset_name", "dataset_kwargs", "custom_dataset", "unsafe_code"),
        *("num_fewshot", "should_decontaminate", "doc_to_decontamination_query"),
    ]
)


@dataclass(frozen=True)
class _Run:
    """One results file and the samples files of the same date."""

    date: str
    file: Path
    samples: Mapping[str, Path]


def has_lm_eval_results(folder: Path) -> bool:
    """Whether a folder, or one of its direct folders, holds results of lm-evaluation-harness."""
    return any(
        _RESULTS.fullmatch(file.name) or _SAMPLES.fullmatch(file.name)
        for pattern in ("*.json*", "*/*.json*")
        for file in folder.glob(pattern)
    )


def read_lm_eval(folder: Path, metrics: Mapping[str, str] | None = None) -> Imported:
    """Read the newest results of every task in a folder.

    Args:
        folder: The output path of lm-evaluation-harness, or the model's folder in it.
        metrics: Task to the metric that counts, where the first is not the one wanted.

    Returns:
        The tasks; those without samples or without a usable metric are left out, with the reason.

    Raises:
        DataError: if the folder holds results of several models, no samples, or a malformed file.
    """
    runs = _runs(folder)
    newest: dict[str, tuple[_Run, Path]] = {}
    for run in sorted(runs, key=lambda run: run.date):
        newest |= {name: (run, file) for name, file in run.samples.items()}
    headers = {run.file: read_object(run.file) for run in runs}
    for file, header in headers.items():
        check_shape(header, LmEvalResults, str(file))
    used = list(dict.fromkeys(run.file for run, _ in newest.values()))
    _refuse_several_models(folder, {file: headers[file] for file in used})
    left_out = _without_samples(runs, headers, newest)
    if not newest:
        raise DataError(
            f"{folder}: results of {', '.join(left_out) or 'no task'}, but no samples_*.jsonl "
            "beside them; a verdict needs every item",
            fix="run lm_eval again with  --log_samples",
        )
    tasks: list[ImportedTask] = []
    unknown = sorted(set(metrics or {}) - set(newest))
    if unknown:
        raise DataError(f"{folder}: no task {unknown[0]!r}; there are {', '.join(sorted(newest))}")
    for name in sorted(newest):
        run, file = newest[name]
        try:
            tasks.append(_task(name, file, run.file, headers[run.file], (metrics or {}).get(name)))
        except NotMeasured as reason:
            left_out[name] = reason.message
    if not tasks:
        reasons = "\n".join(f"  {name}: {reason}" for name, reason in left_out.items())
        raise DataError(f"{folder}: no task can be compared item by item\n{reasons}")
    header = headers[newest[tasks[-1].name][0].file]
    return Imported(
        format="lm_eval",
        folder=str(folder),
        model=str(header.get("model_name") or header.get("config", {}).get("model", "")),
        identity=files_hash(file for pair in newest.values() for file in (pair[0].file, pair[1])),
        date=max(run.date for run, _ in newest.values()),
        tasks=tuple(tasks),
        left_out=left_out,
        notes=_notes(runs, newest),
        versions={
            name: str(header[key])
            for name, key in (
                ("lm_eval", "lm_eval_version"),
                ("transformers", "transformers_version"),
            )
            if header.get(key)
        },
    )


def _runs(folder: Path) -> list[_Run]:
    """The runs of the one folder that holds any.

    Raises:
        DataError: if several folders do, or a results file is missing beside its samples.
    """
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    found = {place: _runs_in(place) for place in places}
    found = {place: runs for place, runs in found.items() if runs}
    if len(found) > 1:
        names = ", ".join(place.name or str(place) for place in found)
        raise DataError(
            f"{folder}: results of {len(found)} models: {names}; needed those of one",
            fix=f"name one of them, such as  {list(found)[-1]}",
        )
    if not found:
        raise DataError(f"{folder}: no results_*.json", fix="name an output folder of lm_eval")
    return next(iter(found.values()))


def _runs_in(place: Path) -> list[_Run]:
    results: dict[str, Path] = {}
    samples: dict[str, dict[str, Path]] = defaultdict(dict)
    for file in sorted(place.iterdir()):
        if match := _SAMPLES.fullmatch(file.name):
            samples[match[2]][match[1]] = file
        elif match := _RESULTS.fullmatch(file.name):
            results[match[1]] = file
    for date, files in samples.items():
        if date not in results:
            first = next(iter(files.values()))
            raise DataError(
                f"{first}: there is no results_{date}.json beside it, which says how the "
                "questions were put",
                fix="copy the whole output folder",
            )
    return [_Run(date, file, samples.get(date, {})) for date, file in results.items()]


def _refuse_several_models(folder: Path, headers: Mapping[Path, Mapping[str, Any]]) -> None:
    models = {str(header.get("model_name")): file for file, header in headers.items()}
    if len(models) > 1:
        told = ", ".join(f"{name} ({file.name})" for name, file in models.items())
        raise DataError(
            f"{folder}: results of several models: {told}; needed those of one",
            fix="move the files of each model to a folder of its own",
        )


def _without_samples(
    runs: Sequence[_Run], headers: Mapping[Path, Mapping[str, Any]], newest: Mapping[str, Any]
) -> dict[str, str]:
    """Tasks that have figures in some run, but no samples in any."""
    names = {
        name for run in runs for name in part(headers[run.file], "configs", dict, str(run.file))
    }
    return dict.fromkeys(sorted(names - set(newest)), "its samples were not logged (--log_samples)")


def _task(
    name: str, file: Path, results: Path, header: Mapping[str, Any], metric: str | None
) -> ImportedTask:
    samples = list(read_lines(file))
    if not samples:
        raise DataError(f"{file}: no samples, needed at least one", fix=AGAIN)
    for place, sample in samples:
        check_shape(sample, LmEvalSample, place)
    filters = {str(sample.get("filter", "none")) for _, sample in samples}
    expected = header.get("n-samples", {}).get(name, {}).get("effective")
    if expected is not None and len(samples) != expected * len(filters):
        raise DataError(
            f"{file}: {len(samples)} lines, but {results.name} speaks of {expected} items under "
            f"{len(filters)} filters",
            fix=AGAIN,
        )
    config = part(part(header, "configs", dict, str(results)), name, dict, str(results))
    about = About(
        conditions=run_conditions(name, header),
        output_type=str(config.get("output_type", "")),
        higher_is_better=header.get("higher_is_better", {}).get(name, {}),
        metric=metric,
    )
    return imported_task(name, samples, about)


def run_conditions(name: str, header: Mapping[str, Any]) -> dict[str, str]:
    """How a run put one of its tasks: what must be equal in two runs that are compared."""
    config = header.get("configs", {}).get(name, {})
    shots = header.get("n-shot", {}).get(name, config.get("num_fewshot"))
    settings = header.get("config", {})
    template = header.get("chat_template_sha")
    parts = {
        "task version": str(header.get("versions", {}).get(name)),
        "worked examples": str(shots or 0),
        "system instruction": str(header.get("system_instruction_sha")),
        "chat template": str(template),
    }
    if config.get("output_type") == "generate_until":
        parts["generation settings of the run"] = briefly(settings.get("gen_kwargs"))
    if template is not None:
        parts["worked examples as chat turns"] = str(header.get("fewshot_as_multiturn"))
    if shots:
        parts["seed of the worked examples"] = str(settings.get("fewshot_seed"))
    parts |= {
        f"task setting {key}": briefly(value)
        for key, value in sorted(config.items())
        if key not in _NOT_ASKED and value not in (None, "", [], {})
    }
    match config:
        case {"metadata": {"conditions": {**kept}}}:  # of our own exports
            parts |= {str(name): str(value) for name, value in kept.items()}
    return parts


def _notes(runs: Sequence[_Run], newest: Mapping[str, tuple[_Run, Path]]) -> tuple[str, ...]:
    """What was passed over, and whether the tasks come from one run."""
    counts = {name: sum(name in run.samples for run in runs) for name in newest}
    dates = {run.date for run, _ in newest.values()}
    notes = [
        f"{name}: {counts[name]} runs found, the newest was taken ({newest[name][0].date})"
        for name in sorted(newest)
        if counts[name] > 1
    ]
    if len(dates) > 1:
        notes.append(f"the tasks come from {len(dates)} runs, from {min(dates)} to {max(dates)}")
    return tuple(notes)

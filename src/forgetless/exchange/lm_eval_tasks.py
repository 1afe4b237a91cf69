"""Tasks of lm-evaluation-harness by name, asked of our models.

The task writes the prompts, filters the answers and computes the metrics; the model is asked by us.
So a score is what lm-evaluation-harness itself would report.

Source: lm-evaluation-harness 0.4.13, ``evaluator.py``.
"""

from __future__ import annotations

import difflib
import json
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetless.errors import DataError, NotMeasured, UsageError
from forgetless.exchange.imported import ImportedTask, text_hash
from forgetless.exchange.lm_eval_results import run_conditions
from forgetless.exchange.lm_eval_samples import About, imported_task
from forgetless.models.load import LoadedModel
from forgetless.models.quiet import quiet
from forgetless.tasks.files import first_line, quiet_datasets

PREFIX = "lm_eval:"
OLDEST = (0, 4, 13)
FEWSHOT_SEED = 1234  # as lm_eval's own default, so that worked examples are the same
BATCH_SIZE = 32


@dataclass(frozen=True)
class LmEvalTasks:
    """The tasks behind one name: one task, or those of a group such as ``mmlu``.

    Attributes:
        name: The name asked for.
        tasks: As lm-evaluation-harness holds them: ``tasks``, ``groups`` and ``group_map``.
    """

    name: str
    tasks: Any

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the single tasks."""
        return tuple(self.tasks["tasks"])


def load_lm_eval_tasks(
    name: str, include_path: str | Path | None = None, shots: int | None = None
) -> LmEvalTasks:
    """Load a task or a group with its data.

    Args:
        name: Its name, with or without ``lm_eval:``.
        include_path: A folder with more tasks, as ``lm_eval --include_path``.
        shots: Number of worked examples, where the task does not say that it wants none.

    Raises:
        UsageError: if lm-evaluation-harness is not installed or too old.
        DataError: for an unknown name, with the nearest ones; for a task whose data cannot be had
            or that cannot be asked here.
    """
    name = name.removeprefix(PREFIX)
    with _seeded(), _hushed():
        found = _found(_harness(), name, None if include_path is None else str(include_path))
        for each, task in found["tasks"].items():
            _refuse_unaskable(each, task)
            if task.get_config("num_fewshot") is None:
                task.set_config(key="num_fewshot", value=shots or 0)
            elif shots is not None and task.get_config("num_fewshot") != 0:
                task.set_config(key="num_fewshot", value=shots)
    return LmEvalTasks(name, found)


def _found(manager_class: Any, name: str, include_path: str | None) -> Any:
    """The task of that name; looked for among the user's own first, since all take seconds."""
    if include_path is not None:
        own = manager_class(include_path=include_path, include_defaults=False)
        if name in own.all_tasks and name not in own.all_groups:
            return _loaded(own, name)
        if name in own.all_groups:  # whose tasks may be among those that come with lm_eval
            with suppress(DataError):
                return _loaded(own, name)
    every = manager_class(include_path=include_path)
    if name not in every.all_tasks:
        near = difflib.get_close_matches(name, every.all_tasks, n=3, cutoff=0.6)
        raise DataError(
            f"lm-evaluation-harness has no task {name!r}"
            + (f"; the nearest are {', '.join(near)}" if near else ""),
            fix=f"--task {PREFIX}{near[0]}" if near else "lm_eval ls tasks  lists them",
        )
    return _loaded(every, name)


def _loaded(manager: Any, name: str) -> Any:
    try:
        return manager.load(name)
    except Exception as error:
        cause = f"{type(error).__name__}: {first_line(error)}"
        raise DataError(
            f"lm_eval task {name!r} cannot be loaded: {cause}",
            fix="its data come from the hub: check the connection, or what the task needs",
        ) from error


def answer_lm_eval_task(
    loaded: LoadedModel,
    name: str | LmEvalTasks,
    limit: int | None = None,
    *,
    include_path: str | Path | None = None,
    chat: bool = False,
    metrics: Mapping[str, str] | None = None,
    batch_size: int = BATCH_SIZE,
) -> tuple[ImportedTask, ...]:
    """Ask a model a task, or all tasks of a group.

    Args:
        loaded: Model and tokenizer.
        name: Name of the task, or the tasks as loaded before for another model.
        limit: Most items of each task.
        include_path: As in :func:`load_lm_eval_tasks`.
        chat: Put the prompts into the model's chat template, as ``lm_eval --apply_chat_template``.
        metrics: Task to the metric that counts, where the first is not the one wanted.
        batch_size: Most sequences in one forward pass.

    Returns:
        The tasks with every item's score and readings, and the conditions they were put under.

    Raises:
        UsageError: as :func:`load_lm_eval_tasks`; also where no metric scores single items.
    """
    tasks = name if isinstance(name, LmEvalTasks) else load_lm_eval_tasks(name, include_path)
    held = tasks.tasks["tasks"].values()
    with _seeded(), _hushed():
        from lm_eval.evaluator import evaluate
        from lm_eval.utils import handle_non_serializable

        from forgetless.exchange.lm_eval_model import AskedModel

        model = AskedModel(loaded, batch_size, greedy=any(map(_wants_greedy, held)))
        for task in held:  # else the worked examples go on where the model before left them
            task.set_fewshot_seed(seed=FEWSHOT_SEED)
        found = evaluate(
            lm=model,
            task_dict=tasks.tasks,
            limit=limit,
            bootstrap_iters=0,
            apply_chat_template=chat,
            fewshot_as_multiturn=chat,
        )
    template = model.chat_template(chat) if chat else None
    header = {
        **found,
        "chat_template_sha": text_hash(template) if template else None,
        "fewshot_as_multiturn": chat,
        "config": {"fewshot_seed": FEWSHOT_SEED},
    }
    # as on disk: plain numbers, no NumPy
    samples = json.loads(json.dumps(found["samples"], default=handle_non_serializable))
    return tuple(
        _answered(each, samples[each], header, model.failed, (metrics or {}).get(each))
        for each in tasks.names
    )


def _answered(
    name: str,
    samples: Sequence[Mapping[str, Any]],
    header: Mapping[str, Any],
    failed: Mapping[tuple[str, int], str],
    metric: str | None,
) -> ImportedTask:
    about = About(
        conditions=run_conditions(name, header),
        output_type=str(header["configs"][name].get("output_type", "")),
        higher_is_better=header["higher_is_better"].get(name, {}),
        metric=metric,
    )
    placed = [(f"{PREFIX}{name} item {one['doc_id']}", one) for one in samples]
    reasons = {number: reason for (task, number), reason in failed.items() if task == name}
    try:
        return imported_task(name, placed, about, reasons)
    except NotMeasured as reason:
        raise DataError(f"lm_eval task {name!r}: {reason.message}") from None


def _harness() -> Any:
    """The class that knows the tasks.

    Raises:
        UsageError: saying what to install.
    """
    from importlib.metadata import PackageNotFoundError, version

    fix = "pip install 'forgetless[lm-eval]'"
    try:
        found = version("lm_eval")
    except PackageNotFoundError:
        raise UsageError(
            "tasks named lm_eval:NAME need lm-evaluation-harness, which is not installed", fix=fix
        ) from None
    numbers = tuple(int(part) for part in found.split(".")[:3] if part.isdecimal())
    if numbers < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise UsageError(f"lm-evaluation-harness {found} is too old, needed {needed}", fix=fix)
    from lm_eval.tasks import TaskManager

    return TaskManager


def _refuse_unaskable(name: str, task: Any) -> None:
    """Refuse what has no answers, what runs programs that a model wrote, and pictures."""
    reason = None
    if task.OUTPUT_TYPE == "loglikelihood_rolling":
        reason = "it measures the likelihood of whole texts and has no right answers"
    elif getattr(task, "UNSAFE_CODE", False) or task.get_config("unsafe_code"):
        reason = "it runs programs that the model writes"
    elif getattr(task, "MULTIMODAL", False):
        reason = "it shows pictures"
    elif (task.get_config("repeats") or 1) > 1:
        reason = f"it wants {task.get_config('repeats')} answers to each question"
    if reason is not None:
        raise DataError(
            f"lm_eval task {name!r} cannot be asked here: {reason}",
            fix="run lm_eval on both models with  --log_samples  and audit its output folders",
        )


def _wants_greedy(task: Any) -> bool:
    """Whether a task's metrics look at more than likelihoods."""
    metrics = {one.get("metric") for one in task.get_config("metric_list") or []}
    own = callable(task.get_config("process_results")) or not hasattr(task, "_metric_fn_list")
    return task.OUTPUT_TYPE == "loglikelihood" or own or "exact_match" in metrics


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep bars and notices of lm-evaluation-harness off the user's terminal."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with quiet(), quiet_datasets():
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _seeded() -> Iterator[None]:
    """Some tasks draw from the global generators; they start as lm_eval starts them."""
    import numpy as np

    python, numpy = random.getstate(), np.random.get_state()
    random.seed(0)
    np.random.seed(FEWSHOT_SEED)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)

"""``forgetless audit``: what did this fine-tune lose?"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgetless.cli.completion import score_names, suite_names, task_sources
from forgetless.cli.fields import Fields, read_fields
from forgetless.errors import UsageError

if TYPE_CHECKING:
    from forgetless.auditing.result import Audit
    from forgetless.plan import TaskConfig

EXAMPLE = """\b
Examples:
  forgetless audit BASE TUNED                            the built-in suite, no data needed
  forgetless audit BASE TUNED --task exam.jsonl --budget 2%
  forgetless audit BASE adapters/law adapters/tax        several models after
  forgetless audit results/before results/after          two lm-evaluation-harness outputs
Ends with 0 kept within budget, 3 budget broken, 4 inconclusive, 1 failed, 2 wrong usage.
"""


def audit(
    before: Annotated[str, typer.Argument(help="The model before: hub name, folder, .gguf, ...")],
    after: Annotated[
        list[str], typer.Argument(help="One or several models after; an adapter folder will do.")
    ],
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            metavar="TASK",
            help="Test items: FILE, NAME=FILE, hub:NAME, bundled:NAME or lm_eval:NAME; repeatable.",
            autocompletion=task_sources,
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            help="A built-in suite: default, quick; default if no task.",
            autocompletion=suite_names,
        ),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(
            help="How answers to every --task are scored, e.g. contains; what suits them if none.",
            autocompletion=score_names,
        ),
    ] = None,
    fields: Fields = None,
    budget: Annotated[
        str,
        typer.Option(
            help="Largest loss accepted on each task, e.g. 2% or 0.02, which is 0.02 nats of a "
            "likelihood; those alone: --set nats_budget=0.02."
        ),
    ] = "5%",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the report; one in audits/ if none."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask only the first so many items of each task.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Further settings, e.g. null_ways=0; repeatable."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    render_with: Annotated[
        str, typer.Option(help="Whose tokenizer and chat template: own, before or after.")
    ] = "own",
    drift: Annotated[
        bool, typer.Option("--drift", help="Measure KL(before || after) on prompts as well.")
    ] = False,
    base_url: Annotated[
        str | None,
        typer.Option(
            help="Address of models named openai:NAME; openai:NAME@ADDRESS brings its own."
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            help="Model that grades answers in free text, e.g. openai:NAME@ADDRESS; never one "
            "of those under test."
        ),
    ] = None,
    price_in: Annotated[
        float | None, typer.Option(min=0, help="Price of a million tokens that endpoints read.")
    ] = None,
    price_out: Annotated[
        float | None, typer.Option(min=0, help="Price of a million tokens that endpoints write.")
    ] = None,
    include_path: Annotated[
        Path | None, typer.Option(help="Folder with more lm-evaluation-harness tasks.")
    ] = None,
    lm_eval_output: Annotated[
        Path | None,
        typer.Option(help="Folder for the answers of each model as lm_eval would write them."),
    ] = None,
    no_store: Annotated[
        bool, typer.Option("--no-store", help="Neither take nor keep stored answers.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print audit.json.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Ask models before and after the same, and say task by task what was lost.

    Writes audit.json, report.html, report.md and junit.xml.
    """
    from forgetless.auditing.audit import audit as carry_out
    from forgetless.auditing.config import make_config
    from forgetless.auditing.export import export_audit
    from forgetless.cli.audit_folder import Wanted, choose_folder, note_places
    from forgetless.cli.terminal import TerminalProgress, open_console
    from forgetless.report.audit import TerminalAudit, write_audit_report
    from forgetless.storage import check_folder

    if score is not None and not task:
        raise UsageError("--score: there is no --task", fix="a suite's tasks have their own scores")
    if fields is not None and not task:
        raise UsageError("--fields: there is no --task", fix="built-in tasks need none")
    columns = read_fields(fields)
    tasks: list[str | TaskConfig] = list(task or ())
    if score is not None or columns:
        tasks = [_asked(one, score, columns) for one in task or ()]
    more = _settings(settings or [])
    make_config(more)  # a setting is none of the other arguments
    own = {
        "budget": budget,
        "device": device,
        "render_with": render_with,
        "drift": drift,
        "base_url": base_url,
        "judge": judge,
        "price_in": price_in,
        "price_out": price_out,
    }
    folder = choose_folder(Wanted.typed([before, *after], tasks, suite), output)
    for place in filter(None, (folder, lm_eval_output)):
        check_folder(place)  # before anything is asked
    console = open_console(stderr=as_json)
    with TerminalProgress(console, quiet=quiet) as progress:
        found = carry_out(
            before,
            *after,
            tasks=tasks,
            suite=suite,
            limit=limit,
            folder=folder,
            include_path=include_path,
            store=not no_store,
            progress=progress,
            **{**own, **more},
        )
    files = write_audit_report(note_places(found, folder), folder)
    if lm_eval_output is not None:
        export_audit(found, lm_eval_output)
    if as_json:
        typer.echo(files.json.read_text(encoding="utf-8"))
    else:
        console.print(TerminalAudit(found))
        console.print(f"report: {files.html}", markup=False, soft_wrap=True)
        repairable = found.gate == "broken" and score is None  # repair has scores of its own
        if repairable and (command := _mending(found, task or [], fields)):
            console.print(f"to mend it: {command}", markup=False, soft_wrap=True)
    raise typer.Exit(found.exit_code)


def _asked(task: str, score: str | None, fields: Mapping[str, str]) -> str | TaskConfig:
    from forgetless.auditing.tasks import LM_EVAL
    from forgetless.tasks.given import task_config

    if not task.startswith(LM_EVAL):
        return task_config(task, score, fields)
    if score is not None:
        raise UsageError(
            f"--score: {task} brings its own scores", fix="leave --score out, or that task"
        )
    return task


def _mending(found: Audit, tasks: list[str], fields: str | None = None) -> str:
    """The repair of the first model that broke the budget; empty where it cannot be repaired.

    It needs a task that tuning gained on as well, to know what is to be kept.
    """
    from forgetless.auditing.tasks import split_tasks
    from forgetless.plan import BUNDLED

    broken = next(one for one in found.comparisons if one.gate == "broken")
    tuned = next(info for info in found.afters if info.label == broken.after)
    if not {found.before.kind, tuned.kind} <= {"hub", "folder", "adapter", "gguf"}:
        return ""
    of_suite = {task.name for task in found.tasks if task.area}
    sources, _ = split_tasks(tasks)
    sources += [
        f"{BUNDLED}{verdict.task}"
        for verdict in broken.verdicts
        if verdict.task in of_suite and verdict.verdict == "lost"
    ]
    if not sources:
        return ""
    gained = any(v.task not in of_suite and (v.change.value or 0) > 0 for v in broken.verdicts)
    words = ["forgetless", "repair", found.before.name, tuned.name]
    words += [word for source in sources for word in ("--task", source)]
    words += ["--fields", fields] if fields else []
    command = shlex.join([*words, "--budget", f"{found.budget * 100:g}%"])
    return command if gained else f"{command} --task WHAT_IT_WAS_TUNED_FOR.jsonl"


def _settings(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"--set {pair}: found no '='", fix="write  --set KEY=VALUE")
        found[key.strip()] = value.strip()
    return found

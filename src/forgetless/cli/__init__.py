"""The command line: one file per command, one place for errors and exit codes.

Exit codes are those of docs/terminal.md; ``EXIT_CODES`` is what the help says of them.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper

import typer

from forgetless.cli import (
    audit,
    compare,
    demo,
    diff,
    init,
    methods,
    repair,
    report,
    run,
    serve,
    show,
)
from forgetless.cli.stopping import Stop
from forgetless.errors import FailedElsewhere, ForgetlessError, UsageError
from forgetless.processes import first, launched
from forgetless.showing import shown
from forgetless.storage import disk_faults_explained

STOPPED = 130  # how typer says that it was interrupted

EXAMPLE = """\b
Examples:
  forgetless demo                     see a model forget, and see it kept from it
  forgetless audit BASE TUNED         see what a fine-tune lost
  forgetless init a.jsonl b.jsonl     write a plan for your own data
  forgetless run plan.yaml            carry it out
  forgetless compare plan.yaml        measure which protection to take
  forgetless show runs/plan           see how far it came, and how to go on

"""
EXIT_CODES = """\b
Exit codes: 0 done, 1 failed while working, 2 wrong usage or input, 130 or 143 stopped;
audit, repair and a run with a budget: 3 budget broken; audit and repair: 4 not decided.
"""

app = typer.Typer(
    name="forgetless",
    help="Fine-tune a language model on one task after another without losing what it knew, "
    "and prove it.",
    epilog=EXAMPLE + EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, command, example, summary in (
    ("demo", demo.demo, demo.EXAMPLE, "See a model forget, and see it kept from it."),
    ("audit", audit.audit, audit.EXAMPLE, "Say what a fine-tune lost; ends with a gate's code."),
    ("init", init.init, init.EXAMPLE, "Write a commented plan for data files."),
    ("run", run.run, run.EXAMPLE, "Carry a plan out: train, score, report."),
    ("compare", compare.compare, compare.EXAMPLE, "Say which protection to take, by measuring."),
    ("repair", repair.repair, repair.EXAMPLE, "Merge back what was lost; trains nothing."),
    ("serve", serve.serve, serve.EXAMPLE, "Serve an API whose fine-tuning jobs do not forget."),
    ("report", report.report, report.EXAMPLE, "Report one or several runs, side by side."),
    ("show", show.show, show.EXAMPLE, "Say what a folder of results holds, and how to go on."),
    ("diff", diff.diff, diff.EXAMPLE, "Say in what two runs differ, item by item."),
    ("methods", methods.methods, methods.EXAMPLE, "List the methods, or explain one."),
):
    app.command(name, epilog=example, short_help=summary)(command)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print versions and exit."),
) -> None:
    if version:
        from forgetless.circumstances import versions

        found = versions()
        typer.echo(f"forgetless {found.pop('forgetless')}")
        typer.echo(", ".join(f"{name} {number}" for name, number in found.items()))
        raise typer.Exit


def main() -> None:
    """Run the command line and exit; faults become messages, never tracebacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal without our signs shows others
            stream.reconfigure(errors="replace")
    stop = Stop()
    try:
        code = _run(sys.argv[1:], stop)
        if code == STOPPED:
            code = _stopped(stop)
    except KeyboardInterrupt:  # before or after the command itself
        code = _stopped(stop)
    finally:
        stop.leave()
    sys.exit(code)


def _stopped(stop: Stop) -> int:
    return _fail(
        "stopped; what was finished is kept", "run the same command to continue", stop.exit_code
    )


def _run(arguments: list[str], stop: Stop) -> int:
    speaks = True
    try:
        speaks = first()
        if launched() == 1:  # a launcher ends its processes itself, which may be waiting
            stop.listen()
        elif arguments[:1] != ["run"]:
            raise UsageError(
                f"{launched()} processes were launched, and only  forgetless run  shares its work",
                fix="start it without a launcher",
            )
        with disk_faults_explained():
            code = app(arguments, standalone_mode=False)
    except FailedElsewhere as error:
        return error.exit_code  # the process that failed says why
    except UsageError as error:  # every process finds the same fault
        return _fail(error.message, error.fix, error.exit_code) if speaks else error.exit_code
    except ForgetlessError as error:
        return _fail(error.message, error.fix, error.exit_code)
    except typer.TyperException as error:  # wrong usage; typer exports no nearer name for it
        message = error.format_message()
        if not arguments:  # the message is the whole help
            typer.echo(message, err=True)
            return 2
        context = getattr(error, "ctx", None)
        return _fail(message, f"{context.command_path if context else 'forgetless'} --help", 2)
    except typer.Abort:
        code = STOPPED
    return code if isinstance(code, int) else 0


def _fail(message: str, fix: str | None, code: int) -> int:
    for line in (f"error: {message}", f"  fix: {fix}" if fix else None):
        if line is not None:  # what files, models and servers say drives no terminal
            typer.echo(shown(line), err=True)
    return code

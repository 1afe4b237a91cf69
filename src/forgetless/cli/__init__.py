"""The command line: one file per command, one place for errors and exit codes.

Exit codes: 0 done, 1 failed while working, 2 wrong usage or input, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import sys

import click
import typer

from forgetless.cli import demo, init, report, run
from forgetless.errors import ForgetlessError

app = typer.Typer(
    name="forgetless",
    help="Fine-tune a language model on one task after another without losing what it knew, "
    "and prove it.",
    epilog="Start here:  forgetless demo      Your own data:  forgetless init a.jsonl b.jsonl",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo", epilog=demo.EXAMPLE)(demo.demo)
app.command("run", epilog=run.EXAMPLE)(run.run)
app.command("init", epilog=init.EXAMPLE)(init.init)
app.command("report", epilog=report.EXAMPLE)(report.report)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        from importlib import metadata

        typer.echo(f"forgetless {metadata.version('forgetless')}")
        raise typer.Exit


def main() -> None:
    """Run the command line and exit; faults become messages, never tracebacks."""
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    try:
        code = app(arguments, standalone_mode=False)
    except ForgetlessError as error:
        return _fail(error.message, error.fix, error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        typer.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        return _fail(error.format_message(), f"{where or 'forgetless'} --help", error.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort):
        return _fail("stopped; what was finished is kept", "run the same command to continue", 130)
    return code if isinstance(code, int) else 0


def _fail(message: str, fix: str | None, code: int) -> int:
    typer.echo(f"error: {message}", err=True)
    if fix:
        typer.echo(f"  fix: {fix}", err=True)
    return code

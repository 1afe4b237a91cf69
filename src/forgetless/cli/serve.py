"""``forgetless serve``: an OpenAI-compatible API whose fine-tuning jobs do not forget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

EXAMPLE = """\b
Examples:
  forgetless serve bundled:smollm2-135m-instruct
  forgetless serve MODEL --folder served --methods "replay(ratio=0.2)+ewc" --set epochs=2
  FORGETLESS_SERVE_TOKEN=... forgetless serve MODEL --host 0.0.0.0
Then point any OpenAI client at it. Killed? Run the same command again: jobs go on.
"""


def serve(
    model: Annotated[
        str, typer.Argument(help="The model that jobs start from: hub name, folder, .gguf, ...")
    ],
    folder: Annotated[
        Path, typer.Option("--folder", help="Where files, jobs and models are kept.")
    ] = Path("served"),
    name: Annotated[
        str, typer.Option(help="What the model is called in the API; from its path if none.")
    ] = "",
    methods: Annotated[
        str, typer.Option(help="What protects earlier files, e.g. 'replay(ratio=0.2)+ewc'.")
    ] = "replay",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of a plan's training; repeatable."),
    ] = None,
    hold_out: Annotated[
        float, typer.Option(help="Share of a file held out to measure with, if no validation file.")
    ] = 0.1,
    max_tokens: Annotated[
        int, typer.Option(min=16, help="Most tokens of an answer; requests for more are refused.")
    ] = 4096,
    host: Annotated[
        str, typer.Option(help="Where to listen; beyond this machine only with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
) -> None:
    """Serve files, fine-tuning jobs, models and chat; a job is a stage of a protected sequence.

    With $FORGETLESS_SERVE_TOKEN every request needs it as its API key.
    """
    import os

    from forgetless.comparing.menu import arm_named
    from forgetless.plan import MethodSpec, make_plan
    from forgetless.plan.file import override
    from forgetless.serving.config import TOKEN_VARIABLE, ServerConfig
    from forgetless.serving.server import serve as carry_out

    plan: dict[str, Any] = {"model": model, "sequence": ["rows"]}
    override(plan, [f"training.{pair.removeprefix('training.')}" for pair in settings or []])
    config = ServerConfig(
        model=model,
        folder=folder,
        name=name,
        methods=tuple(
            MethodSpec(name=method, options=dict(options))
            for method, options in arm_named(methods).methods.items()
        ),
        training=make_plan(plan, "serve").training,
        hold_out=hold_out,
        max_tokens=max_tokens,
        host=host,
        port=port,
        token=os.environ.get(TOKEN_VARIABLE, "").strip(),
    )
    carry_out(config, lambda url: typer.echo(f"{config.name} is served at {url}", err=True))

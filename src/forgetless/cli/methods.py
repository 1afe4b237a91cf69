"""``forgetless methods``: what there is against forgetting, and what each takes."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forgetless.cli.completion import method_names

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLE = """\b
Examples:
  forgetless methods          every method in a line
  forgetless methods ewc      its options, when to use it, what it costs, its source
"""


def methods(
    name: Annotated[
        str | None,
        typer.Argument(help="A method; all of them if none.", autocompletion=method_names),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the ways of not forgetting, or explain one of them."""
    from forgetless.cli.terminal import open_console
    from forgetless.methods import find_method

    if name is None:
        if as_json:
            typer.echo(json.dumps(_all(), indent=2, ensure_ascii=False))
        else:
            _show_all(open_console())
        return
    about = _one(find_method(name).name)
    if as_json:
        typer.echo(json.dumps(about, indent=2, ensure_ascii=False))
    else:
        _show_one(about, open_console())


def _all() -> list[dict[str, str]]:
    from forgetless.methods import METHODS
    from forgetless.methods.groups import group_of_method
    from forgetless.methods.pages import cost

    return [
        {
            "name": name,
            "group": group_of_method(name),
            "does": _does(method),
            "cost": cost(name),
        }
        for name, method in METHODS.items()
    ]


def _one(name: str) -> dict[str, Any]:
    from forgetless.methods import METHODS
    from forgetless.methods.groups import GROUPS, group_of_method
    from forgetless.methods.pages import page
    from forgetless.plan.described import described

    group = group_of_method(name)
    return {
        "name": name,
        "group": group,
        "purpose": GROUPS[group][0],
        "does": _does(METHODS[name]),
        "options": [asdict(setting) for setting in described(METHODS[name].Config)],
        "about": page(name),
        "excludes_sharding": METHODS[name]().excludes_sharding,
        "excludes_deepspeed": METHODS[name].excludes_deepspeed(),
    }


def _does(method: type) -> str:
    return (method.__doc__ or "").splitlines()[0]


def _show_all(console: Console) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from forgetless.methods import METHODS
    from forgetless.methods.groups import GROUPS
    from forgetless.report.terminal import writer

    text = writer(console.options)
    longest = max(map(len, METHODS))
    for group, (purpose, names) in GROUPS.items():
        console.print(text(f"{group}: {purpose}", "bold"))
        lines = Table.grid(padding=(0, 2, 0, 0))
        lines.add_column(width=longest)
        for name in names:
            lines.add_row(text(name), text(_does(METHODS[name])))
        console.print(Padding(lines, (0, 0, 0, 2)))
    console.print(Text("options, cost and source of one: forgetless methods NAME", "dim"))


def _show_one(about: dict[str, Any], console: Console) -> None:
    from rich.padding import Padding

    from forgetless.report.terminal import plain_table, writer

    text = writer(console.options)
    console.print(text(f"{about['name']}: {about['does']}", "bold"))
    console.print(text(f"group: {about['group']}, {about['purpose']}", "dim"))
    console.print()
    if about["options"]:
        rows = [
            [option["name"], option["default"], option["values"].replace("`", ""),
             option["meaning"]]
            for option in about["options"]
        ]  # fmt: skip
        head = ("option", "default", "values", "meaning")
        console.print(plain_table(head, rows, text, left=4))
        shown = about["options"][0]
        example = f"{{{about['name']}: {{{shown['name']}: {shown['default']}}}}}"
    else:
        example = about["name"]
    console.print(text(f"in a plan: methods: [{example}]", "dim"))
    ways = {"sharded weights (FSDP2)": "excludes_sharding", "DeepSpeed": "excludes_deepspeed"}
    for way, excludes in ways.items():
        reason = about[excludes]
        console.print(text(f"{way}: {f'no, {reason}' if reason else 'yes'}", "dim"))
    for head, said in about["about"].items():
        console.print()
        console.print(text(head, "bold"))
        console.print(Padding(text(said), (0, 0, 0, 2)))

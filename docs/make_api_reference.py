"""Write docs/api.md from signatures and docstrings.

Command: ``python docs/make_api_reference.py``; a test holds the file up to date.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import forgetless
from forgetless.auditing.config import AuditConfig
from forgetless.errors import ForgetlessError
from forgetless.methods import METHODS
from forgetless.plan.described import REQUIRED, described

HEAD = """# Python

What is listed here is public; everything else may change without notice. `import forgetless` costs nothing: torch is
imported with the first name that needs it. This page is written by `docs/make_api_reference.py` from the code.

```python
import forgetless

result = forgetless.run(
    model="my-model",
    sequence=["medical.jsonl", "legal.jsonl"],
)
print(result.forgetting, result.model_path())

tuned = str(result.model_path())
found = forgetless.audit("my-model", tuned, tasks=["exam.jsonl"])
print(found.gate, found.comparisons[0].reason)
```
"""

RESULTS_OF_OTHERS = (
    "forgetless.exchange.reading.read_results",
    "forgetless.exchange.compare.compare_conditions",
    "forgetless.exchange.lm_eval_export.export_lm_eval",
)
SECTIONS = ("Args", "Attributes", "Returns", "Raises")
_HEADER = re.compile(r"^([A-Z][a-z]+):$")


def sections(doc: str) -> dict[str, str]:
    """A docstring by its parts: ``""`` is the text before the first header."""
    found: dict[str, list[str]] = {"": []}
    current = found[""]
    for line in inspect.cleandoc(doc).splitlines():
        header = _HEADER.match(line)
        if header is not None:
            current = found.setdefault(header[1], [])
        else:
            current.append(line)
    return {name: inspect.cleandoc("\n".join(lines)).strip() for name, lines in found.items()}


def first_sentence(doc: str) -> str:
    """The first paragraph of a docstring, in one line."""
    return in_markdown(sections(doc)[""].split("\n\n")[0])


def in_markdown(text: str) -> str:
    """Text of a docstring as Markdown, in one line."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text).replace("``", "`")
    return " ".join(text.split())


def entries(text: str) -> Iterator[tuple[str, str]]:
    """What is listed in a section: ``name: meaning``, with indented lines that go on."""
    for block in re.split(r"\n(?=\S)", text):
        name, _, meaning = block.partition(":")
        yield name.strip(), in_markdown(meaning)


def details(doc: str, wanted: Sequence[str] = SECTIONS) -> str:
    """The sections of a docstring as lists."""
    parts = sections(doc)
    lines: list[str] = []
    for section in wanted:
        if section not in parts:
            continue
        lines += ["", f"{section}:", ""]
        if section == "Returns":
            lines.append(f"- {in_markdown(parts[section])}")
        else:
            lines += [f"- `{name}`: {meaning}" for name, meaning in entries(parts[section])]
    return "\n".join(lines) + "\n" if lines else ""


def call(name: str, thing: Any) -> str:
    """A call, broken into lines where it is long."""
    found = inspect.signature(thing)
    parts: list[str] = []
    starred = False
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
        starred = starred or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        if parameter.name != "self":
            parts.append(_spelled(parameter))
    returned = found.return_annotation
    end = "" if returned is found.empty or isinstance(thing, type) else f" -> {returned}"
    line = f"{name}({', '.join(parts)}){end}"
    if len(line) <= 96:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){end}"


def _spelled(parameter: inspect.Parameter) -> str:
    """A parameter as the code writes it; annotations are text there."""
    many: dict[Any, str] = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
    stars = many.get(parameter.kind, "")
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{stars}{parameter.name}: {parameter.annotation}{default}"


def signature(name: str, thing: Any) -> str:
    """A call as a block of code."""
    return f"\n```text\n{call(name, thing)}\n```\n"


def members(owner: type[Any]) -> Iterator[tuple[str, Any]]:
    """What a class itself offers, in the order of its code; no hooks that a library calls."""
    inherited = {name for base in owner.__mro__[1:] for name in vars(base)}
    for name, member in vars(owner).items():
        public = not name.startswith("_") and name not in inherited
        if public and (
            inspect.isfunction(member) or isinstance(member, property | cached_property)
        ):
            yield name, member


def function(name: str, thing: Any) -> str:
    """The entry of a function."""
    doc = thing.__doc__ or ""
    return f"\n### {name}\n{signature(name, thing)}\n{first_sentence(doc)}\n{details(doc)}"


def class_(name: str, thing: type[Any]) -> str:
    """The entry of a class: how it is made, where users make it, and what it offers."""
    doc = thing.__doc__ or ""
    made = (
        signature(name, thing) if "Args" in sections(doc) and thing is not ForgetlessError else ""
    )
    text = f"\n### {name}\n{made}\n{first_sentence(doc)}\n{details(doc)}"
    lines = []
    for member_name, member in members(thing):
        if isinstance(member, property | cached_property):
            getter = member.fget if isinstance(member, property) else member.func
            lines.append(f"| `.{member_name}` | {first_sentence(getter.__doc__ or '')} |")
        else:
            said = (
                " ".join(call(member_name, member).split()).replace("( ", "(").replace(", )", ")")
            )
            said = said.replace("|", "\\|")
            lines.append(f"| `.{said}` | {first_sentence(member.__doc__ or '')} |")
    return text + table(("", "what it is or does"), lines)


def table(head: Sequence[str], lines: Iterable[str]) -> str:
    """A Markdown table, or nothing where there are no lines."""
    rows = list(lines)
    if not rows:
        return ""
    return "\n".join(["", f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows]) + "\n"


def settings() -> str:
    """The settings that ``audit`` takes."""
    lines = []
    for setting in described(AuditConfig):
        default = REQUIRED if setting.default == REQUIRED else f"`{setting.default}`"
        values = setting.values.replace("|", "\\|")
        meaning = setting.meaning.replace("|", "\\|")
        lines.append(f"| `{setting.name}` | {values} | {default} | {meaning} |")
    return "\nSettings:\n" + table(("setting", "values", "default", "meaning"), lines)


def errors(base: type[BaseException]) -> Iterator[str]:
    """The tree of errors as a nested list."""
    stack = [(base, 0)]
    while stack:
        error, depth = stack.pop()
        yield f"{'    ' * depth}- `{error.__name__}`: {first_sentence(error.__doc__ or '')}"
        below = [e for e in error.__subclasses__() if e.__module__ == ForgetlessError.__module__]
        stack += [(e, depth + 1) for e in reversed(below)]


def reference() -> str:
    """The whole page."""
    names = [name for name in forgetless.__all__ if name != "__version__"]
    things = {name: getattr(forgetless, name) for name in names}
    text = HEAD + "\n## Functions of forgetless\n"
    for name, thing in things.items():
        if not isinstance(thing, type):
            text += function(name, thing)
            text += settings() if name == "audit" else ""
    text += "\n## Classes of forgetless\n"
    for name, thing in things.items():
        if isinstance(thing, type):
            text += class_(name, thing)
            if thing is forgetless.Plan:
                text += "\nIts fields are the keys of the [plan reference](plan.md#plan).\n"
            if thing is ForgetlessError:
                text += "\nThose below it are in `forgetless.errors`:\n\n"
                text += "\n".join(errors(ForgetlessError)) + "\n"
    text += "\n`forgetless.__version__` is the version, as text.\n"
    text += "\n## Methods for protect\n\n"
    text += "From `forgetless.methods`, each made with the options of its plan entry: `Replay(ratio=0.1)`.\n"
    text += "Those that need a run say so: `Joint`, `LoRA` and `OLoRA` work in a plan alone,\n"
    text += "`OnPolicyReplay` here with `accept='any'`. [All that is refused](own_trainer.md#what-is-refused).\n"
    text += table(
        ("class", "in a plan", "what it does"),
        (
            f"| `{method.__name__}` | [`{name}`](plan.md#{name}) "
            f"| {first_sentence(method.__doc__ or '')} [More](methods/{name}.md). |"
            for name, method in METHODS.items()
        ),
    )
    text += "\n## Results of other tools\n\nUsed on [that page](exchange.md).\n"
    for path in RESULTS_OF_OTHERS:
        module, _, name = path.rpartition(".")
        text += (
            f"\n### {path}\n"
            + function(name, getattr(import_module(module), name)).partition(f"### {name}\n")[2]
        )
    return text


if __name__ == "__main__":
    Path(__file__).with_name("api.md").write_text(reference(), encoding="utf-8")

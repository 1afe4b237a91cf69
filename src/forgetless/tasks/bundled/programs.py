"""Very small Python programs as trees: written out, run, and changed by one slip.

A program is run by walking its tree; no text is ever executed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

Memory = dict[str, Any]

OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "==": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}
CONFUSED = {
    "+": "-",
    "-": "+",
    "*": "+",
    "//": "%",
    "%": "//",
    "<": "<=",
    ">": ">=",
    "<=": "<",
    ">=": ">",
    "==": ">",
}
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "len": len,
    "sum": sum,
    "max": max,
    "min": min,
    "sorted": sorted,
    "abs": abs,
    "range": lambda *bounds: list(range(*bounds)),
}
METHODS: Mapping[str, Callable[..., Any]] = {
    "upper": str.upper,
    "count": lambda whole, part: whole.count(part),
    "append": list.append,
}


class SlipError(Exception):
    """A changed program that cannot run."""


@dataclass(frozen=True)
class Value:
    """A number or a text."""

    value: int | str

    def text(self) -> str:
        """As Python writes it."""
        return f'"{self.value}"' if isinstance(self.value, str) else str(self.value)

    def run(self, memory: Memory) -> Any:
        """Itself."""
        return self.value


@dataclass(frozen=True)
class Name:
    """A variable."""

    name: str

    def text(self) -> str:
        """Its name."""
        return self.name

    def run(self, memory: Memory) -> Any:
        """What it holds."""
        return memory[self.name]


@dataclass(frozen=True)
class Binary:
    """Two expressions and an operator; ``inner`` puts brackets around it."""

    left: Expression
    operator: str
    right: Expression
    inner: bool = False

    def text(self) -> str:
        """As Python writes it."""
        plain = f"{self.left.text()} {self.operator} {self.right.text()}"
        return f"({plain})" if self.inner else plain

    def run(self, memory: Memory) -> Any:
        """The operator applied."""
        return OPERATORS[self.operator](self.left.run(memory), self.right.run(memory))


@dataclass(frozen=True)
class ListOf:
    """A list written out."""

    parts: tuple[Expression, ...]

    def text(self) -> str:
        """As Python writes it."""
        return f"[{', '.join(part.text() for part in self.parts)}]"

    def run(self, memory: Memory) -> Any:
        """A new list."""
        return [part.run(memory) for part in self.parts]


@dataclass(frozen=True)
class Item:
    """``whole[place]``."""

    whole: Expression
    place: Expression

    def text(self) -> str:
        """As Python writes it."""
        return f"{self.whole.text()}[{self.place.text()}]"

    def run(self, memory: Memory) -> Any:
        """The item."""
        return self.whole.run(memory)[self.place.run(memory)]


@dataclass(frozen=True)
class Slice:
    """``whole[start:stop]`` or, with a step, ``whole[start:stop:step]``."""

    whole: Expression
    start: Expression
    stop: Expression
    step: Expression | None = None

    def text(self) -> str:
        """As Python writes it."""
        step = f":{self.step.text()}" if self.step else ""
        return f"{self.whole.text()}[{self.start.text()}:{self.stop.text()}{step}]"

    def run(self, memory: Memory) -> Any:
        """The part."""
        step = self.step.run(memory) if self.step else None
        return self.whole.run(memory)[self.start.run(memory) : self.stop.run(memory) : step]


@dataclass(frozen=True)
class Call:
    """A built-in function, or one that the program defines."""

    name: str
    arguments: tuple[Expression, ...]

    def text(self) -> str:
        """As Python writes it."""
        return f"{self.name}({', '.join(argument.text() for argument in self.arguments)})"

    def run(self, memory: Memory) -> Any:
        """What it returns."""
        arguments = [argument.run(memory) for argument in self.arguments]
        if self.name in FUNCTIONS:
            return FUNCTIONS[self.name](*arguments)
        return memory[self.name].call(memory, arguments)


@dataclass(frozen=True)
class Method:
    """``of.name(arguments)``."""

    of: Expression
    name: str
    arguments: tuple[Expression, ...] = ()

    def text(self) -> str:
        """As Python writes it."""
        arguments = ", ".join(argument.text() for argument in self.arguments)
        return f"{self.of.text()}.{self.name}({arguments})"

    def run(self, memory: Memory) -> Any:
        """What it returns."""
        arguments = [argument.run(memory) for argument in self.arguments]
        return METHODS[self.name](self.of.run(memory), *arguments)


@dataclass(frozen=True)
class Comprehension:
    """``[made for name in source if condition]``."""

    made: Expression
    name: str
    source: Expression
    condition: Expression

    def text(self) -> str:
        """As Python writes it."""
        return (
            f"[{self.made.text()} for {self.name} in {self.source.text()} "
            f"if {self.condition.text()}]"
        )

    def run(self, memory: Memory) -> Any:
        """The new list."""
        inner = [{**memory, self.name: value} for value in self.source.run(memory)]
        return [self.made.run(scope) for scope in inner if self.condition.run(scope)]


@dataclass(frozen=True)
class Assign:
    """``name = value``, or ``name += value`` with another operator."""

    name: str
    value: Expression
    operator: str = ""

    def lines(self) -> Iterator[str]:
        """As Python writes it."""
        yield f"{self.name} {self.operator}= {self.value.text()}"

    def run(self, memory: Memory) -> None:
        """Remember it."""
        value = self.value.run(memory)
        if self.operator:
            value = OPERATORS[self.operator](memory[self.name], value)
        memory[self.name] = value


@dataclass(frozen=True)
class Do:
    """An expression for its effect."""

    what: Expression

    def lines(self) -> Iterator[str]:
        """As Python writes it."""
        yield self.what.text()

    def run(self, memory: Memory) -> None:
        """Do it."""
        self.what.run(memory)


@dataclass(frozen=True)
class If:
    """``if condition: then`` and ``else: otherwise`` where there is one."""

    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()

    def lines(self) -> Iterator[str]:
        """As Python writes it."""
        yield f"if {self.condition.text()}:"
        yield from _indented(self.then)
        if self.otherwise:
            yield "else:"
            yield from _indented(self.otherwise)

    def run(self, memory: Memory) -> None:
        """One side of it."""
        for statement in self.then if self.condition.run(memory) else self.otherwise:
            statement.run(memory)


@dataclass(frozen=True)
class For:
    """``for name in source: body``."""

    name: str
    source: Expression
    body: tuple[Statement, ...]

    def lines(self) -> Iterator[str]:
        """As Python writes it."""
        yield f"for {self.name} in {self.source.text()}:"
        yield from _indented(self.body)

    def run(self, memory: Memory) -> None:
        """The body for every value."""
        for value in self.source.run(memory):
            memory[self.name] = value
            for statement in self.body:
                statement.run(memory)


@dataclass(frozen=True)
class While:
    """``while condition: body``."""

    condition: Expression
    body: tuple[Statement, ...]

    def lines(self) -> Iterator[str]:
        """As Python writes it."""
        yield f"while {self.condition.text()}:"
        yield from _indented(self.body)

    def run(self, memory: Memory) -> None:
        """The body for as long as it holds.

        Raises:
            SlipError: if that seems to be for ever.
        """
        for _ in range(200):
            if not self.condition.run(memory):
                return
            for statement in self.body:
                statement.run(memory)
        raise SlipError


@dataclass(frozen=True)
class Function:
    """A function of one line, which may have a first case."""

    name: str
    parameters: tuple[str, ...]
    result: Expression
    case: Expression | None = None
    early: Expression | None = None

    def lines(self) -> Iterator[str]:
        """As Python writes it."""
        yield f"def {self.name}({', '.join(self.parameters)}):"
        if self.case and self.early:
            yield f"    if {self.case.text()}:"
            yield f"        return {self.early.text()}"
        yield f"    return {self.result.text()}"

    def run(self, memory: Memory) -> None:
        """Define it."""
        memory[self.name] = self

    def call(self, memory: Memory, arguments: list[Any]) -> Any:
        """Its result for some arguments.

        Raises:
            SlipError: if it seems to call itself for ever.
        """
        depth = memory.get("depth", 0) + 1
        if depth > 40:
            raise SlipError
        inner = {
            **memory,
            **dict(zip(self.parameters, arguments, strict=True)),
            "depth": depth,
        }
        if self.case and self.early and self.case.run(inner):
            return self.early.run(inner)
        return self.result.run(inner)


Expression = Value | Name | Binary | ListOf | Item | Slice | Call | Method | Comprehension
Statement = Assign | Do | If | For | While | Function


@dataclass(frozen=True)
class Program:
    """Statements, and what is printed at their end."""

    statements: tuple[Statement, ...]
    printed: Expression

    def text(self) -> str:
        """The program as Python text."""
        lines = [line for statement in self.statements for line in statement.lines()]
        return "\n".join([*lines, f"print({self.printed.text()})"])

    def output(self) -> str:
        """What it prints.

        Raises:
            SlipError: if it cannot run, which only a changed program may do.
        """
        memory: Memory = {}
        try:
            for statement in self.statements:
                statement.run(memory)
            return str(self.printed.run(memory))
        except (IndexError, KeyError, ZeroDivisionError, TypeError, ValueError) as error:
            raise SlipError from error

    def slips(self) -> Iterator[Program]:
        """The program with a number off by one or two, an operator mistaken, or a line left out."""
        yield from _changed(self)
        for place in range(len(self.statements)):
            yield replace(self, statements=self.statements[:place] + self.statements[place + 1 :])


def _indented(body: tuple[Statement, ...]) -> Iterator[str]:
    for statement in body:
        for line in statement.lines():
            yield f"    {line}"


def _changed(node: Any) -> Iterator[Any]:
    """A tree with one small change, for every place where one can be made."""
    if isinstance(node, Value) and isinstance(node.value, int):
        yield from (Value(node.value + off) for off in (1, -1, 2, -2))
    if isinstance(node, Binary | Assign) and node.operator:
        yield replace(node, operator=CONFUSED[node.operator])
    if isinstance(node, tuple):
        for place, part in enumerate(node):
            for other in _changed(part):
                yield (*node[:place], other, *node[place + 1 :])
    elif hasattr(node, "__dataclass_fields__"):
        for field in fields(node):
            for other in _changed(getattr(node, field.name)):
                yield replace(node, **{field.name: other})

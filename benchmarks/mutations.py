"""How many small faults, put into the code one at a time, the tests notice.

    python -m benchmarks.mutations src/forgetless/metrics --sample 60 --seed 1
    python -m benchmarks.mutations src/forgetless --since HEAD~20 --sample 100 --jobs 2

A mutant is the code with one number, comparison, sign, condition, loop or returned value changed,
at a place drawn at random.  Each is asked of the tests of its own module, if there are such, then
of those of its folder; slow ones are left out.  It counts as killed if a test fails, or if they
take much longer than without it.  What survives is printed with its line, to be read: an equivalent
mutant, which no test could notice, looks the same as a missing test.  Works in copies; the working
tree is not touched.
"""

from __future__ import annotations

import ast
import copy
import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated, Any

import typer

from benchmarks.comparison.records import append_to_log, circumstances, command, in_a_line

PACKAGE = Path("src/forgetless")
NO_TESTS = 5
"""Pytest's exit code where all that it found are slow."""
PAIRS: tuple[tuple[type[ast.cmpop], type[ast.cmpop]], ...] = (
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.In, ast.NotIn),
    (ast.Is, ast.IsNot),
)
COMPARISONS = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}
SIGNS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}


@dataclass(frozen=True)
class Mutant:
    """One change of one place.

    Attributes:
        path: The module, relative to the root of the repository.
        line: Where in it.
        was: The code there.
        now: The code in its place.
        module: The whole module with it.
    """

    path: Path
    line: int
    was: str
    now: str
    module: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.was}  ->  {self.now}"


def changed(node: ast.AST) -> ast.AST | None:
    """Another node for this one, or None where nothing is changed."""
    node = copy.deepcopy(node)
    match node:
        case ast.Constant(value=bool(value)):
            node.value = not value
        case ast.Constant(value=int(value) | float(value)):
            node.value = value + 1
        case ast.Compare(ops=[operator, *_]):
            node.ops[0] = COMPARISONS[type(operator)]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp(op=ast.Not()):
            return node.operand
        case ast.BinOp(op=operator) if type(operator) in SIGNS:
            node.op = SIGNS[type(operator)]()
        case ast.AugAssign(op=operator) if type(operator) in SIGNS:
            node.op = SIGNS[type(operator)]()
        case ast.If() | ast.IfExp():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.For():
            node.iter = ast.Tuple([], ast.Load())
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            node.value = ast.Constant(None)
        case ast.Continue():
            return ast.Break()
        case ast.Break():
            return ast.Continue()
        case _:
            return None
    return node


@dataclass(frozen=True)
class Place:
    """Where something can be changed: in a field of a node, at an index if that is a list."""

    parent: ast.AST
    field: str
    index: int | None

    @property
    def node(self) -> Any:
        """What stands there."""
        found = getattr(self.parent, self.field)
        return found if self.index is None else found[self.index]

    def put(self, node: ast.AST) -> None:
        """Write something else there."""
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def places(node: ast.AST) -> Iterator[Place]:
    """What can be changed below a node, outside of annotations and what is for type checkers."""
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "type_params"}:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or _for_types(child):
                continue
            if changed(child) is not None:
                yield Place(node, field, index)
            yield from places(child)


def _for_types(node: ast.AST) -> bool:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Subscript(value=ast.Name(id="Literal" | "Annotated")):
            return True
        case ast.Call(func=ast.Name(id="cast" | "TypeVar")):
            return True
    return False


def drawn(modules: Sequence[Path], sample: int, seed: int, since: str) -> tuple[list[Mutant], int]:
    """Mutants at places drawn at random, in the order of the lot.

    Args:
        modules: Where to draw.
        sample: How many; all, if there are fewer.
        seed: Of the lot.
        since: A revision: of lines that it has nothing is drawn.  All lines if empty.

    Returns:
        The mutants, and the number of places there are.
    """
    every = []
    for path in modules:
        lines = lines_since(since, path) if since else None
        tree = ast.parse(path.read_text(encoding="utf-8"))
        every += [
            (path, number)
            for number, place in enumerate(places(tree))
            if lines is None or place.node.lineno in lines
        ]
    chosen = random.Random(seed).sample(every, min(sample, len(every)))
    return [mutant(path, number) for path, number in chosen], len(every)


def mutant(path: Path, number: int) -> Mutant:
    """The mutant of one place of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    place = next(itertools.islice(places(tree), number, None))
    was = place.node
    now = changed(was)
    assert now is not None
    place.put(now)
    module = ast.unparse(ast.fix_missing_locations(tree))
    return Mutant(path, was.lineno, _short(was), _short(now), module)


def _short(node: ast.AST) -> str:
    line, *more = ast.unparse(node).split("\n")
    return line + " ..." * bool(more)


def lines_since(revision: str, path: Path) -> frozenset[int]:
    """The lines of a module that a revision does not have."""
    found: set[int] = set()
    differences = _git("diff", "--unified=0", revision, "--", str(path))
    for first, count in re.findall(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", differences, re.MULTILINE):
        found |= set(range(int(first), int(first) + int(count or 1)))
    return frozenset(found)


def asked_of(path: Path) -> list[Path]:
    """What a mutant of a module is asked of, one after the other: its own tests, its folder's."""
    folder = path.relative_to(PACKAGE).parent
    found = [Path("tests") / folder / f"test_{path.stem}.py", Path("tests") / folder]
    if folder == Path():
        found = [Path("tests") / f"test_{path.stem}.py", Path("tests/integration")]
    elif not found[1].is_dir():
        found[1] = Path("tests") / folder.parts[0]
    return [test for test in found if test.exists()]


class Copies:
    """Copies of the repository, each for one mutant at a time."""

    def __init__(self, folder: Path, number: int) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        self._seconds: dict[Path, float] = {}
        tracked = [Path(name) for name in _git("ls-files").splitlines()]
        for index in range(number):
            root = folder / f"copy-{index}"
            for path in tracked:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, root / path)
            self._free.put(root)

    def noticed(self, mutant: Mutant) -> bool:
        """Whether a test fails, or never ends, with a mutant.

        Raises:
            SystemExit: if tests fail without any mutant.
        """
        root = self._free.get()
        try:
            return any(self._fails(mutant, test, root) for test in asked_of(mutant.path))
        finally:
            shutil.copy(mutant.path, root / mutant.path)
            self._free.put(root)

    def _fails(self, mutant: Mutant, test: Path, root: Path) -> bool:
        if test not in self._seconds:
            shutil.copy(mutant.path, root / mutant.path)
            started = time.monotonic()
            if not _passes(root, test, None):
                raise SystemExit(f"{test} fails without any mutant: make that pass first")
            self._seconds[test] = time.monotonic() - started
        (root / mutant.path).write_text(mutant.module, encoding="utf-8")
        return not _passes(root, test, 4 * self._seconds[test] + 30)


def _passes(root: Path, test: Path, seconds: float | None) -> bool:
    arguments = ["-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "--tb=no"]
    environment = {
        # not counted by coverage, which the tests of this script may be under
        **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
        "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}",
        "PYTHONDONTWRITEBYTECODE": "1",  # a second's mutants would be taken for one another
        "OMP_NUM_THREADS": "1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments, "--basetemp", root / "temporary", test],
        cwd=root,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            return process.wait(seconds) in {0, NO_TESTS}
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            return False


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def main(
    where: Annotated[list[Path], typer.Argument(help="Modules or folders of src/forgetless.")],
    sample: Annotated[int, typer.Option(help="How many places are drawn.")] = 60,
    seed: Annotated[int, typer.Option(help="Of the drawing.")] = 0,
    since: Annotated[str, typer.Option(help="Only lines that this revision does not have.")] = "",
    jobs: Annotated[int, typer.Option(help="Mutants at a time.")] = 1,
    log: Annotated[bool, typer.Option("--log", help="Add a section to benchmarks/LOG.md.")] = False,
) -> None:
    """Draw mutants, and ask the tests of each."""
    files = {file for path in where for file in (path.rglob("*.py") if path.is_dir() else [path])}
    modules = [file for file in sorted(files) if asked_of(file)]
    mutants, there = drawn(modules, sample, seed, since)
    typer.echo(f"{len(mutants)} of {there} places in {len(modules)} modules")
    survivors: list[Mutant] = []
    with tempfile.TemporaryDirectory(prefix="forgetless-mutants-") as temporary:
        copies = Copies(Path(temporary), jobs)

        with ThreadPoolExecutor(jobs) as pool:
            answers = pool.map(copies.noticed, mutants)
            for number, (mutant, noticed) in enumerate(zip(mutants, answers, strict=True), start=1):
                typer.echo(f"{number}: {'killed' if noticed else 'survived'}: {mutant}")
                if not noticed:
                    survivors.append(mutant)
    shown = summary(mutants, survivors)
    typer.echo(shown)
    if log:
        facts = circumstances(command("mutations", sys.argv[1:]), 1, "cpu")
        append_to_log(f"\n## {facts['date']} · mutations\n\n{in_a_line(facts)}\n\n{shown}\n")


def summary(mutants: Sequence[Mutant], survivors: Sequence[Mutant]) -> str:
    """How many were killed, and those that were not in the order of the code."""
    killed = len(mutants) - len(survivors)
    share = f" ({killed / len(mutants):.0%})" if mutants else ""
    listed = [f"- `{mutant}`" for mutant in sorted(survivors, key=lambda one: (one.path, one.line))]
    return "\n".join([f"{killed} of {len(mutants)} killed{share}", *listed])


if __name__ == "__main__":
    typer.run(main)

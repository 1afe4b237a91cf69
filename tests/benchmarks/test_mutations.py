"""Mutants: what is changed and what is not, which tests they are asked of, and who is killed."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest
from benchmarks.mutations import asked_of, changed, drawn, lines_since, main, places

CHANGES = {
    "x = 2": "x = 3",
    "x = True": "x = False",
    "x = a < b": "x = a <= b",
    "x = a not in b": "x = a in b",
    "x = a is b": "x = a is not b",
    "x = a or b": "x = a and b",
    "x = not a": "x = a",
    "x = a - b": "x = a + b",
    "x //= a": "x *= a",
    "x = a if b else c": "x = a if not b else c",
    "if a:\n    b()": "if not a:\n    b()",
    "for a in b:\n    c()": "for a in ():\n    c()",
}
UNCHANGED = (
    "x: Literal[1] = y",
    "def f(x: tuple[int, 2]) -> Literal[3]: pass",
    "if TYPE_CHECKING:\n    import a",
    "x = cast(tuple[1], a)",
    "def f():\n    return None",
    "'text'",
)


def mutated(code: str) -> list[str]:
    """All mutants of a few lines."""
    found = []
    for number, _ in enumerate(places(ast.parse(code))):
        tree = ast.parse(code)
        place = list(places(tree))[number]
        other = changed(place.node)
        assert other is not None
        place.put(other)
        found.append(ast.unparse(ast.fix_missing_locations(tree)))
    return found


@pytest.mark.parametrize(("code", "other"), CHANGES.items())
def test_each_kind_of_place_is_changed_in_one_way(code: str, other: str) -> None:
    assert mutated(code) == [other]


def test_loops_and_returned_values_are_changed_inside_functions() -> None:
    code = "def f():\n    while a:\n        continue\n    return b"
    assert mutated(code) == [
        code.replace("continue", "break"),
        code.replace("return b", "return None"),
    ]


@pytest.mark.parametrize("code", UNCHANGED)
def test_annotations_texts_and_what_is_for_type_checkers_stay(code: str) -> None:
    assert mutated(code) == []


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one module and its tests."""
    package, tests = tmp_path / "src/forgetless/part", tmp_path / "tests/part"
    for folder in (package, tests):
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
    (tmp_path / "src/forgetless/__init__.py").touch()
    (tmp_path / "tests/__init__.py").touch()
    (package / "sums.py").write_text("def add(a, b):\n    return a + b\n")
    (package / "unread.py").write_text("LIMIT = 3\n")
    (tests / "test_sums.py").write_text(
        "from forgetless.part.sums import add\n\ndef test_two():\n    assert add(2, 3) == 5\n"
    )
    monkeypatch.chdir(tmp_path)
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *arguments], check=True)
    return tmp_path


def test_a_module_is_asked_of_its_own_tests_and_then_of_its_folders(project: Path) -> None:
    own, folder = Path("tests/part/test_sums.py"), Path("tests/part")
    assert asked_of(Path("src/forgetless/part/sums.py")) == [own, folder]
    assert asked_of(Path("src/forgetless/part/unread.py")) == [folder]
    assert asked_of(Path("src/forgetless/part/below/deep.py")) == [folder]
    assert asked_of(Path("src/forgetless/alone.py")) == []
    assert project.exists()


def test_the_lot_repeats_itself_and_of_a_revision_only_newer_lines_are_drawn(
    project: Path,
) -> None:
    module = Path("src/forgetless/part/sums.py")
    first, number = drawn([module], 9, 1, "")
    assert number == len(first) == 2  # the returned value and the sign
    assert drawn([module], 1, 1, "")[0] == first[:1]
    assert lines_since("HEAD", module) == frozenset()
    (project / module).write_text("def add(a, b):\n    c = b * 1\n    return a + c\n")
    assert lines_since("HEAD", module) == {2, 3}
    (project / module).write_text("def add(a, b):\n    return a + b\n\nTWO = 2\n")
    assert [str(one) for one in drawn([module], 9, 0, "HEAD")[0]] == [f"{module}:4: 2  ->  3"]


def test_what_a_test_notices_is_killed_and_what_none_does_is_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*.py")}
    main([Path("src")], sample=9, seed=0, since="", jobs=2, log=False)
    told = capsys.readouterr().out
    assert "3 of 3 places in 3 modules" in told
    assert "2 of 3 killed (67%)\n- `src/forgetless/part/unread.py:1: 3  ->  4`" in told
    assert {path: path.read_bytes() for path in project.rglob("*.py")} == before


def test_tests_that_fail_without_a_mutant_are_no_measurement(project: Path) -> None:
    (project / "tests/part/test_sums.py").write_text("def test_it():\n    assert False\n")
    with pytest.raises(SystemExit, match="fails without any mutant"):
        main([Path("src")], sample=9, seed=0, since="", jobs=1, log=False)

"""``audit.json`` holds everything: what is read back equals what was written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetless.auditing.result import Audit
from forgetless.errors import RunFolderError
from forgetless.report.audit import audit_document, gate_line, read_audit, render_audit_json

from .fake_audits import all_kept, audit, hostile


def written(folder: Path, found: Audit) -> Path:
    path = folder / "audit.json"
    path.write_text(render_audit_json(found), encoding="utf-8")
    return path


def changed(folder: Path, where: list[str | int], value: object) -> Path:
    """A file in which one value is another; ``None`` as the last step takes the field out."""
    document: Any = audit_document(audit())
    inner = document
    for step in where[:-1]:
        inner = inner[step]
    if value is KeyError:
        del inner[where[-1]]
    else:
        inner[where[-1]] = value
    path = folder / "audit.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize("found", [audit(), all_kept(), hostile()], ids=["rich", "kept", "hostile"])
def test_an_audit_comes_back_as_it_was(tmp_path: Path, found: Audit) -> None:
    assert read_audit(written(tmp_path, found)) == found


def test_the_folder_will_do_as_well(tmp_path: Path) -> None:
    written(tmp_path, all_kept())
    assert read_audit(tmp_path) == all_kept()


def test_the_file_is_ascii_json_without_nan(tmp_path: Path) -> None:
    text = written(tmp_path, hostile()).read_text(encoding="utf-8")
    assert text.isascii()
    assert "NaN" not in json.dumps(json.loads(text), allow_nan=False)


def test_the_outcome_can_be_read_without_computing(tmp_path: Path) -> None:
    document = json.loads(written(tmp_path, audit()).read_text())
    assert document["format"] == 1
    assert (document["gate"], document["exit_code"]) == ("broken", 3)
    assert document["line"] == gate_line(audit())


def test_what_was_not_measured_is_null_with_the_reason() -> None:
    figure = audit_document(audit())["comparisons"][0]["verdicts"][-1]["change"]
    assert figure == {"value": None, "interval": None, "reason": "31 of 40 items have no answer"}


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_audit_json(replace(audit(), budget=float("nan")))


def test_a_field_that_came_later_may_be_absent(tmp_path: Path) -> None:
    path = changed(tmp_path, ["tasks", 0, "conditions"], KeyError)
    assert read_audit(path).tasks[0].conditions == {}


def test_an_unknown_field_is_passed_over(tmp_path: Path) -> None:
    assert read_audit(changed(tmp_path, ["tasks", 0, "colour"], "blue")) == audit()


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        (["budget"], "5%", "'budget' is the string '5%', needed a finite number"),
        (["budget"], True, "'budget' is true, needed a finite number"),
        pytest.param(
            *(["budget"], 10**400, "'budget' is the number inf, needed a finite number"),
            id="budget of 401 digits",
        ),
        (["tasks", 1, "items"], 1.5, r"'tasks\[1\].items' is the number 1.5, needed an integer"),
        (["tasks", 1, "unit"], "points", r"'tasks\[1\].unit' .* needed one of accuracy, nats"),
        (["tasks"], {}, "'tasks' is an object, needed a list"),
        (["costs"], [], "'costs' is a list, needed an object"),
        (["before"], "base", "'before' is the string 'base', needed an object"),
        (["before", "identity"], KeyError, "'before.identity' is missing"),
        (
            ["costs", "base", "seconds"],
            None,
            "'costs.base.seconds' is null, needed a finite number",
        ),
        (["comparisons"], [], "its comparisons are not of the models and tasks"),
        (
            ["comparisons", 1, "verdicts", 0],
            KeyError,
            "its comparisons are not of the models and tasks",
        ),
        (["format"], 2, "its format is 2, this version reads format 1"),
    ],
)
def test_a_fault_is_named_with_its_place(
    tmp_path: Path, where: list[str | int], value: object, told: str
) -> None:
    with pytest.raises(RunFolderError, match=told) as caught:
        read_audit(changed(tmp_path, where, value))
    assert caught.value.fix


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": NaN}', '{"format": 1}'])
def test_what_is_no_audit_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "audit.json").write_text(text)
    with pytest.raises(RunFolderError):
        read_audit(tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_audit(tmp_path / "none.json")

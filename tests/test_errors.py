from __future__ import annotations

import pytest

from forgetless import errors
from forgetless.errors import (
    DataError,
    ForgetlessError,
    ModelError,
    NotMeasured,
    PlanError,
    RunFailed,
    RunFolderError,
    TrainingFailed,
    UsageError,
)

TREE = [kind for kind in vars(errors).values() if isinstance(kind, type)]


@pytest.mark.parametrize("kind", [UsageError, PlanError, DataError, ModelError, RunFolderError])
def test_what_the_user_can_mend_ends_with_exit_code_2(kind: type[ForgetlessError]) -> None:
    assert kind("x").exit_code == 2


@pytest.mark.parametrize("kind", [RunFailed, TrainingFailed, NotMeasured])
def test_what_broke_while_working_ends_with_exit_code_1(kind: type[ForgetlessError]) -> None:
    assert kind("x").exit_code == 1


def test_the_text_of_an_error_ends_with_what_to_do_next() -> None:
    assert str(DataError("a.csv: empty", fix="add a row")) == "a.csv: empty\n  fix: add a row"


def test_an_error_without_a_remedy_is_its_message_alone() -> None:
    error = DataError("a.csv: empty")
    assert (str(error), error.message, error.fix) == ("a.csv: empty", "a.csv: empty", None)


@pytest.mark.parametrize("kind", TREE)
def test_every_error_is_drawn_in_the_tree_and_descends_from_its_root(kind: type) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert issubclass(kind, ForgetlessError)

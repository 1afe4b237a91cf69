from __future__ import annotations

import numpy as np
import pytest

from forgetless.errors import NotMeasured
from forgetless.metrics import ScoreStack, TaskColumn

LAW = TaskColumn("law", trained_in=1)


def test_stack_gives_every_matrix_its_own_cell() -> None:
    values = np.array([[[0.1], [0.2]], [[0.3], [0.4]]])
    stack = ScoreStack(["base", "law"], [LAW], values)
    assert stack.score(1, "law").tolist() == [0.2, 0.4]


def test_stack_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 1, 3\), needed \(..., 2, 1\)"):
        ScoreStack(["base", "law"], [LAW], np.zeros((2, 1, 3)))


def test_stack_refuses_nan_that_is_not_named_as_missing() -> None:
    with pytest.raises(ValueError, match="'law' after stage 1"):
        ScoreStack(["base", "law"], [LAW], np.array([[0.5], [np.nan]]))


def test_stack_never_reads_a_missing_cell() -> None:
    stack = ScoreStack(["base", "law"], [LAW], np.array([[0.5], [0.0]]), {(1, "law"): "cut off"})
    with pytest.raises(NotMeasured, match=r"task 'law' after stage 1 'law' .*: cut off"):
        stack.score(1, "law")


@pytest.mark.parametrize(
    ("stages", "tasks", "message"),
    [
        ([], [LAW], "stages is empty"),
        (["a", "a"], [LAW], "stage 'a' appears 2 times"),
        (["a", "b"], [LAW, LAW], "task 'law' appears 2 times"),
        (["a", "b"], [TaskColumn("law", trained_in=2)], "trained_in is 2, needed .* from 1 to 1"),
        (["a", "b"], [TaskColumn("law", trained_in=0)], "trained_in is 0"),
        (["a", "b"], [TaskColumn("law", "percent")], "unit is 'percent'"),  # type: ignore[arg-type]
    ],
)
def test_contradicting_rows_and_columns_are_refused(
    stages: list[str], tasks: list[TaskColumn], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ScoreStack(stages, tasks, np.full((len(stages), len(tasks)), 0.5))


def test_unknown_rows_and_columns_are_named_with_those_that_exist() -> None:
    stack = ScoreStack(["base", "law"], [LAW], np.full((2, 1), 0.5))
    with pytest.raises(ValueError, match="no task 'lax'; the tasks are law"):
        stack.score(0, "lax")
    with pytest.raises(ValueError, match="no row -1; the rows are 0 to 1"):
        stack.score(-1, "law")


def test_several_tasks_may_be_trained_in_one_stage() -> None:
    tasks = [LAW, TaskColumn("tax", trained_in=1), TaskColumn("general")]
    stack = ScoreStack(["base", "joint"], tasks, np.full((2, 3), 0.5))
    assert [task.name for task in stack.trained()] == ["law", "tax"]
    assert [task.name for task in stack.only_tested()] == ["general"]

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from forgetless.errors import NotMeasured
from forgetless.metrics import ScoreMatrix, restrict_to_common_items
from forgetless.metrics.pairing import PairedRuns

from .build import by_hand, itemised


def test_item_that_failed_in_one_run_counts_in_neither() -> None:
    one, other = restrict_to_common_items(
        itemised({"law": ["1101", "1100"]}), itemised({"law": ["110x"]})
    )
    assert one.values == [[pytest.approx(2 / 3)], [pytest.approx(2 / 3)]]
    assert other.values == [[pytest.approx(2 / 3)]]
    assert (one.excluded_items("law"), other.excluded_items("law")) == (1, 1)


def test_item_left_out_says_why() -> None:
    one, _ = restrict_to_common_items(itemised({"law": ["11"]}), itemised({"law": ["1x"]}))
    assert one.cell(0, "law").errors == {"q1": "not scored in every row of every run"}


def test_tasks_of_one_run_alone_and_means_stay_as_they_are() -> None:
    items, means = itemised({"law": ["110"]}), by_hand(tax=(1, [0.25, 0.75]))
    one, other = restrict_to_common_items(items, means)
    assert one.values == items.values
    assert other.values == means.values


def test_runs_without_a_common_item_have_no_score() -> None:
    one, _ = restrict_to_common_items(itemised({"law": ["1x"]}), itemised({"law": ["x1"]}))
    with pytest.raises(NotMeasured, match="none of its 2 items could be scored"):
        one.score(0, "law")


def test_reasons_for_missing_cells_are_kept() -> None:
    (run,) = restrict_to_common_items(itemised({"law": ["11", None, "10"]}))
    assert run.missing == {(1, "law"): "no result was recorded"}
    assert run.trained() == []


def noting(groups: Sequence[str]) -> ScoreMatrix:
    """A run of as many items, with the group noted for each; empty: none."""
    run = itemised({"law": ["1" * len(groups)]})
    named = {f"q{at}": group for at, group in enumerate(groups) if group}
    return ScoreMatrix(run.stages, [replace(run.column("law"), groups=named)], run.cells)


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_groups_that_any_run_notes_are_drawn_as_one_in_every_order_of_the_runs(
    order: Sequence[int],
) -> None:
    # q2 and q3 ask the same, which the last run alone notes
    runs = [noting([""] * 6), noting("aaabbc"), noting("aaaaac")]
    drawn = PairedRuns([runs[at] for at in order]).items("law")
    assert drawn.sizes is not None
    assert drawn.sizes.tolist() == [5, 1]

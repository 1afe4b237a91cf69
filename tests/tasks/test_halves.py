"""A task in two halves, of which one chooses and the other certifies."""

from __future__ import annotations

import pytest

from forgetless.errors import DataError
from forgetless.tasks.halves import halves
from tests.training.build import exchange, make_task


def test_every_item_is_in_one_half_and_no_group_in_both() -> None:
    rows = [exchange(n, f"{n}?", "a", group=f"g{n // 3}" if n < 12 else None) for n in range(20)]
    first, second = halves(make_task("law", test=rows))
    ids = [[row.id for row in half.test] for half in (first, second)]
    assert sorted(ids[0] + ids[1]) == sorted(row.id for row in rows)
    groups = [{row.group for row in half.test if row.group} for half in (first, second)]
    assert groups == [{"g0", "g2"}, {"g1", "g3"}]
    assert first.name == second.name == "law"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([exchange(n, f"{n}?", "a") for n in range(15)], "15 test items.*needed at least 16"),
        ([exchange(n, f"{n}?", "a", group="g") for n in range(16)], "all test items are of group"),
    ],
)
def test_what_cannot_be_halved_is_refused(rows: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        halves(make_task("law", test=rows))  # type: ignore[arg-type]

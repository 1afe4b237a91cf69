"""What is too large for memory lies in a file, and reads the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forgetless.plan import TrainingConfig
from forgetless.tasks import packing
from forgetless.tasks.examples import Encoder, Examples, Origin, TaskRows
from forgetless.tasks.packing import Growing
from forgetless.tasks.render import Encoded
from tests.tiny import build_tokenizer
from tests.training.build import colour_task


def all_of(examples: Examples) -> list[Encoded]:
    return [examples[index] for index in range(len(examples))]


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "AT_MOST", 300)


@pytest.mark.usefixtures("small_memory")
def test_what_is_large_goes_to_disk_and_leaves_no_name_there(tmp_path: Path) -> None:
    in_memory, on_disk = Growing(np.int32, None), Growing(np.int32, tmp_path)
    for start in range(0, 100, 7):
        for growing in (in_memory, on_disk):
            growing.add(range(start, start + 7))
    there, here = on_disk.done(), in_memory.done()
    assert isinstance(there, np.memmap)
    assert not isinstance(here, np.memmap)
    assert there.tolist() == here.tolist() == list(range(105))
    assert not list(tmp_path.iterdir())


def test_little_stays_in_memory(tmp_path: Path) -> None:
    growing = Growing(np.bool_, tmp_path)
    assert growing.done().tolist() == []
    growing.add([True, False])
    assert growing.done().tolist() == [True, False]
    assert not isinstance(growing.done(), np.memmap)


@pytest.mark.usefixtures("small_memory")
def test_examples_on_disk_are_those_in_memory(tmp_path: Path) -> None:
    tokenizer, rows = build_tokenizer(), TaskRows.of([colour_task("a"), colour_task("b", 1)])
    here = Encoder(tokenizer, TrainingConfig()).encode(rows)
    there = Encoder(tokenizer, TrainingConfig(), scratch=tmp_path).encode(rows)
    assert isinstance(there.ids, np.memmap)
    assert all_of(there) == all_of(here)
    assert there.keys.tolist() == here.keys.tolist()
    assert [*there.origins] == [Origin(task.name, row.id) for task, row in rows]
    both = Examples.concatenated([there, here], tmp_path)
    assert isinstance(both.ids, np.memmap)
    assert all_of(both) == all_of(here) * 2
    assert [*both.origins] == [*here.origins] * 2
    assert both.lengths.tolist() == here.lengths.tolist() * 2


def test_one_part_is_not_copied() -> None:
    examples = Examples.of([Encoded([1, 2], [False, True])], [Origin("a", "0")])
    assert Examples.concatenated([examples]) is examples


def test_rows_of_tasks_are_read_when_asked_for() -> None:
    first, second = colour_task("a"), colour_task("b", 1)
    rows = TaskRows.of([first, second])
    whole = [(task, row) for task in (first, second) for row in task.train]
    assert [*rows] == whole
    assert (rows[0], rows[len(whole) - 1]) == (whole[0], whole[-1])
    kept = np.arange(len(whole)) % 3 == 1
    assert [*rows.only(kept)] == whole[1::3]
    assert [*rows.only(kept)[1:]] == whole[4::3]
    assert [*rows[2:5]] == whole[2:5]
    assert [*rows[::-1]] == whole[::-1]
    assert [*rows[1::2].only(kept[1::2])] == [row for row in whole[1::3] if row in whole[1::2]]
    assert rows.only(kept | ~kept) is rows
    assert not [*TaskRows.of([])]

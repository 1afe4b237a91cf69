"""Test items held out of a task's training rows, where it names none."""

from __future__ import annotations

import hashlib
import random
from array import array
from collections.abc import Sequence

import numpy as np

from forgetless.errors import DataError
from forgetless.plan import TaskConfig
from forgetless.tasks.row import Row
from forgetless.tasks.source import Selected


def hold_out(
    config: TaskConfig, rows: Sequence[Row], seed: int
) -> tuple[Sequence[Row], Sequence[Row]]:
    """Split rows into training and test; those alike, or of one group, stay together.

    A row that is alike one of a group held out, and of another group, is in neither.

    Args:
        config: The task; says which share of its rows is held out.
        rows: All of them.
        seed: Decides which, together with the task's name.

    Returns:
        What is left to train on, and the test items, both in the order of the rows.

    Raises:
        DataError: if either would be empty.
    """
    total = len(rows)
    wanted = round(total * config.hold_out)
    if wanted < 1 or wanted >= total:
        for _ in rows:  # a malformed row explains more than a split that came out empty
            pass
        raise DataError(
            f"task {config.name!r} has no test items ({config.train}: {total} training rows, "
            f"{config.hold_out:g} of them held out)",
            fix="raise hold_out, or name a test source",
        )
    order = array("i", range(total))
    random.Random(f"{seed}/hold_out/{config.name}").shuffle(order)  # noqa: S311
    content, family = array("Q"), array("Q")  # hashes: 16 bytes a row, whatever is in it
    for row in rows:
        content.append(_hash(row.content_hash()))
        family.append(_hash(f"group {row.group}") if row.group else content[-1])
    _, member, sizes = np.unique(family, return_inverse=True, return_counts=True)
    drawn, items = np.zeros(len(sizes), np.bool_), 0
    for number in member[order]:
        if items >= wanted:
            break
        if not drawn[number]:
            drawn[number] = True
            items += sizes[number]
    held = drawn[member]
    twins = np.isin(content, np.asarray(content)[held])
    test, train = (array("i", map(int, np.flatnonzero(side))) for side in (held, ~held & ~twins))
    if not train:
        raise DataError(
            f"task {config.name!r}: all rows are alike or of one group, none is left to train on",
            fix="add other rows, or name a test source",
        )
    return Selected(rows, train), Selected(rows, test)


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")

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

FAR = 2
"""A share held out that is so many times the one asked for, or that part of it, is told; so is
that part of the share to train on."""


def hold_out(
    config: TaskConfig, rows: Sequence[Row], seed: int
) -> tuple[Sequence[Row], Sequence[Row], tuple[str, ...]]:
    """Split rows into training and test; those alike, or of one group, stay together.

    Such a family is drawn by lot as one row is, whatever its size, and held out if that brings
    their number nearer to the one wanted; if none does, the smallest is held out.  A row that is
    alike one of a group held out, and of another group, is in neither.

    Args:
        config: The task; says which share of its rows is held out.
        rows: All of them.
        seed: Decides which, together with the task's name.

    Returns:
        What is left to train on and the test items, both in the order of the rows; and what to tell
        of a share, of either, that families or rows in neither made quite another one.

    Raises:
        DataError: if either would be empty.
    """
    total = len(rows)
    wanted = round(total * config.hold_out)
    if wanted < 1 or wanted >= total:
        for _ in rows:  # a malformed row explains more than a split that came out empty
            pass
        lacking, mend = ("test items", "raise") if wanted < 1 else ("rows to train on", "lower")
        raise DataError(
            f"task {config.name!r} has no {lacking} ({config.train}: {total} training rows, "
            f"{config.hold_out:g} of them held out)",
            fix=f"{mend} hold_out, or name a test source",
        )
    lots = array("i", range(total))
    random.Random(f"{seed}/hold_out/{config.name}").shuffle(lots)  # noqa: S311
    content, family = array("Q"), array("Q")  # hashes: 16 bytes a row, whatever is in it
    for row in rows:
        content.append(_hash(row.content_hash()))
        family.append(_hash(f"group {row.group}") if row.group else content[-1])
    _, first, member, sizes = np.unique(
        family, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.asarray(lots)
    order = member[order][first[member[order]] == order]  # a family comes where its first row does
    drawn, items = np.zeros(len(sizes), np.bool_), 0
    for number in order:
        # nearer to it, be it from above; some row must be left to train on
        if sizes[number] < min(2 * (wanted - items), total - items):
            drawn[number] = True
            items += int(sizes[number])
    if not items:
        drawn[order[sizes[order].argmin()]] = True
    held = drawn[member]
    twins = np.isin(content, np.asarray(content)[held])
    test, train = (array("i", map(int, np.flatnonzero(side))) for side in (held, ~held & ~twins))
    if not train:
        raise DataError(
            f"task {config.name!r}: every row is alike one that is held out, or of its group; none "
            "is left to train on",
            fix="add other rows, or name a test source",
        )
    told = []
    beside = total - len(test)
    much = len(test) > FAR * wanted or FAR * beside < total - wanted
    if much or FAR * len(test) < wanted:
        told.append(
            f"{len(test)} of {total} rows are held out, where hold_out asks for {wanted}: rows "
            "that are alike, or of one group, stay together"
        )
    if len(train) < beside and FAR * len(train) < total - wanted:
        told.append(
            f"{len(train)} of {total} rows are left to train on, where hold_out asks for "
            f"{total - wanted}: {beside - len(train)} are alike rows that are held out, and of "
            "other groups"
        )
    return Selected(rows, train), Selected(rows, test), tuple(told)


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")

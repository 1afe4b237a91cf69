"""The rows of someone else's Trainer: read as examples, and mixed with rehearsed ones.

A Trainer's rows are whatever its collator understands.  One row at a time goes through that very
collator, and what comes out is what the model would be taught: token ids, and which of them are
learned.  Rehearsed rows go the other way, into the columns that the dataset has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from forgetless.errors import DataError, UsageError
from forgetless.methods.base import IGNORED
from forgetless.tasks.examples import Encoder, Examples
from forgetless.tasks.render import Encoded
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task

Item = Mapping[str, Any]
Collate = Callable[[list[Any]], Mapping[str, Any]]

EXCHANGES = 8  # rows of a draw that may be exchanged
CANDIDATES = 256  # rows looked at for an exchange, so that a large pool costs no more

KEYS, REPLAYED = "forgetless_keys", "forgetless_replayed"  # what a marked batch says of its rows


@dataclass(frozen=True)
class _Numbered(Sequence[Row]):
    """Rows without text: each is known by its number."""

    rows: int

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: Any) -> Any:
        numbers = range(self.rows)[index]
        if isinstance(numbers, range):
            return [self[number] for number in numbers]
        return Row(str(numbers), (), "")


@dataclass(frozen=True)
class TokenTask(Task):
    """A task whose rows are known as tokens only.

    Attributes:
        encoded: The examples of a row, by its number.
    """

    encoded: Callable[[int], list[Encoded]] = field(default=lambda _: [])

    @staticmethod
    def numbered(count: int) -> Sequence[Row]:
        """Rows known by their number alone."""
        return _Numbered(count)

    def renderer(self, tokenizer: Any) -> Any:
        """Renders rows by looking their tokens up."""
        return _Lookup(self.encoded)


@dataclass(frozen=True)
class _Lookup:
    encoded: Callable[[int], list[Encoded]]

    def encode(self, row: Row) -> list[Encoded]:
        return self.encoded(int(row.id))


class TokenEncoder(Encoder):
    """Takes rows as their trainer takes them, however long."""

    def _fit(self, example: Encoded, *_: Any) -> Encoded:
        return example


def collator_of(trainer: Any) -> Collate:
    """A trainer's collator, given rows with columns that the model does not take."""
    collate: Collate = trainer._get_collator_with_removed_columns(trainer.data_collator)
    return collate


def taught(collate: Collate, item: Item) -> list[Encoded]:
    """What a row teaches, as its collator says: one example, or one for each document packed in it.

    Raises:
        DataError: if the collator gives no label for each token.
    """
    batch = collate([dict(item)])
    return [encoded for _, encoded in _rows_of(batch)]


def keys_of(batch: Mapping[str, Any]) -> torch.Tensor:
    """``Encoded.key`` of each row of a collated batch, shape (rows,)."""
    return torch.tensor([encoded.key for _, encoded in _rows_of(batch)])


def _rows_of(batch: Mapping[str, Any]) -> Iterator[tuple[int, Encoded]]:
    """The rows of a collated batch without padding; documents packed end to end come apart."""
    if "labels" not in batch or "input_ids" not in batch:
        raise DataError(
            f"the collator gives {', '.join(batch)}; needed input_ids and labels",
            fix="use a collator for language models, such as "
            "DataCollatorForLanguageModeling(tokenizer, mlm=False)",
        )
    ids, labels = batch["input_ids"], batch["labels"]
    if labels.shape != ids.shape:
        raise DataError(
            f"the collator gives labels of shape {tuple(labels.shape)} for input_ids of shape "
            f"{tuple(ids.shape)}; needed one for each token",
            fix="leave out methods that look at rows: they are for language models",
        )
    mask = batch.get("attention_mask")
    starts = batch.get("cu_seq_lens_q")
    for number in range(ids.shape[0]):
        row, learned = ids[number], labels[number] != IGNORED
        if starts is not None:  # padding-free: documents one after another
            for first, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
                yield number, Encoded(row[first:end].tolist(), learned[first:end].tolist())
            continue
        kept = mask[number].bool() if mask is not None else torch.ones_like(row, dtype=torch.bool)
        yield number, Encoded(row[kept].tolist(), learned[kept].tolist())


def completed(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A marked batch with the mask and the positions that the model would take for granted.

    Raises:
        UsageError: for padding on the left without positions, which models count differently, and
            for inputs that a forward pass of ours would leave out.
    """
    known = {"input_ids", "labels", "attention_mask", "position_ids", KEYS, REPLAYED}
    if strange := sorted(set(batch) - known):
        raise UsageError(
            f"the collator gives {strange[0]}, which the model would not get from methods that "
            "look at logits",
            fix="take it out of the rows, or leave these methods out",
        )
    ids, mask, positions = (
        batch.get(name) for name in ("input_ids", "attention_mask", "position_ids")
    )
    assert ids is not None
    if mask is None:
        mask = torch.ones_like(ids)
    if positions is None:
        if not mask[:, 0].all():
            raise UsageError(
                "the collator pads rows on the left and gives no position_ids, and methods that "
                "look at logits cannot know from where the model counts",
                fix='tokenizer.padding_side = "right"',
            )
        positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    return {**batch, "attention_mask": mask, "position_ids": positions}


def items_of(trainer: Any) -> Callable[[Encoded], Item]:
    """What puts an example into the columns of a trainer's dataset."""
    first = dict(trainer.train_dataset[0])
    if trainer.args.remove_unused_columns:
        trainer._set_signature_columns_if_needed()
        first = {name: first[name] for name in first if name in trainer._signature_columns}
    return partial(
        as_item,
        like=first,
        collate=collator_of(trainer),
        labels_optional=type(trainer.data_collator).__module__.startswith("trl."),
    )


def as_item(
    example: Encoded, like: Item, collate: Collate, *, labels_optional: bool
) -> dict[str, Any]:
    """An example in the columns of a dataset.

    Args:
        example: What is taught.
        like: A row with the columns that the collator is given, and their types.
        collate: The collator.
        labels_optional: Whether the collator takes labels from rows that bring them.

    Raises:
        DataError: for a column that rehearsed rows cannot have.
    """
    length = len(example)
    labels = [
        token if learned else IGNORED
        for token, learned in zip(example.ids, example.learned, strict=True)
    ]
    known = {
        "input_ids": example.ids,
        "labels": labels,
        "attention_mask": [1] * length,
        "position_ids": list(range(length)),
        "seq_lengths": [length],
        "length": length,
    }
    if strange := sorted(set(like) - set(known)):
        raise DataError(
            f"the training rows have a column {strange[0]!r}, which rehearsed rows cannot have",
            fix="remove it from the dataset, or leave remove_unused_columns=True",
        )
    item = {column: _typed(known[column], like[column]) for column in like}
    if "labels" not in item and not all(example.learned[1:]):
        if labels_optional:
            item["labels"] = labels
        elif taught(collate, item) != [example]:
            raise DataError(
                "rehearsed rows are learned in part, but the training rows have no labels column",
                fix="give the dataset a labels column, with -100 where nothing is learned",
            )
    return item


def _typed(value: Any, like: Any) -> Any:
    """A value as the tensor or array that another row has in its place, or as it is."""
    if isinstance(like, torch.Tensor):
        return torch.tensor(value, dtype=like.dtype, device=like.device)
    if isinstance(like, np.ndarray):
        return np.array(value, dtype=like.dtype)
    return value


class MixedRows(torch.utils.data.Dataset[Item]):
    """A dataset with rehearsed rows mixed in, other ones in every epoch.

    The number of rehearsed rows is the same in every epoch, as trainers count steps once; which
    they are is chosen so that their tokens make up the share asked for.

    Args:
        new: The trainer's own dataset.
        new_tokens: Tokens of its rows.
        pools: The share of the mixture's tokens and the examples of each pool.
        as_item: Puts an example into the columns of the dataset.
        rng: A source of randomness for each pool and epoch.
    """

    def __init__(
        self,
        new: Any,
        new_tokens: int,
        pools: Sequence[tuple[float, Examples]],
        as_item: Callable[[Encoded], Item],
        rng: Callable[[int, int], np.random.Generator],
    ) -> None:
        self._new = new
        self._as_item = as_item
        self._rng = rng
        self._pools = pools
        fresh = 1 - sum(ratio for ratio, _ in pools)
        self._tokens = [ratio / fresh * new_tokens for ratio, _ in pools]
        self._counts = [
            max(1, round(tokens / float(pool.lengths.mean())))
            for tokens, (_, pool) in zip(self._tokens, pools, strict=True)
        ]
        self._drawn: list[tuple[int, int]] = []
        self.set_epoch(0)

    def __len__(self) -> int:
        return len(self._new) + sum(self._counts)

    def set_epoch(self, epoch: int) -> None:
        """Draw the rehearsed rows of an epoch, counted from 0."""
        self._drawn = [
            (number, int(index))
            for number, (_, pool) in enumerate(self._pools)
            for index in draw(
                pool.lengths,
                self._counts[number],
                self._tokens[number],
                epoch,
                lambda turn, number=number: self._rng(number, turn),  # type: ignore[misc]
            )
        ]

    @property
    def replayed_tokens(self) -> int:
        """Tokens of the rehearsed rows of this epoch."""
        return sum(int(self._pools[pool][1].lengths[index]) for pool, index in self._drawn)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index < len(self._new):
            return {"item": self._new[index], "replayed": False}
        pool, number = self._drawn[index - len(self._new)]
        return {"item": self._as_item(self._pools[pool][1][number]), "replayed": True}


def draw(
    lengths: np.ndarray[Any, Any],
    count: int,
    tokens: float,
    epoch: int,
    rng: Callable[[int], np.random.Generator],
) -> np.ndarray[Any, Any]:
    """So many rows of a pool with about so many tokens, all used once before any is used again.

    Rows are taken in turn from shuffled rounds through the pool; then a few are exchanged for rows
    that would have followed, as long as that brings the tokens nearer.

    Args:
        lengths: Tokens of each row, shape (pool,).
        count: Rows to draw.
        tokens: Tokens that they are to have together.
        epoch: From 0.
        rng: Source of randomness of a round through the pool.

    Returns:
        Indices of rows, shape (count,).
    """
    first, last = epoch * count, (epoch + 1) * count
    size = len(lengths)
    rounds = range(first // size, last // size + 2)
    order = np.concatenate([rng(turn).permutation(size) for turn in rounds])
    place = first - rounds[0] * size
    chosen = order[place : place + count].copy()
    following = np.setdiff1d(order[place + count : place + count + CANDIDATES], chosen)
    for _ in range(EXCHANGES):
        missing = tokens - float(lengths[chosen].sum())
        if not len(following):
            break
        gains = lengths[following][:, None] - lengths[chosen[:CANDIDATES]][None, :]
        enters, leaves = np.unravel_index(np.abs(missing - gains).argmin(), gains.shape)
        if abs(missing - gains[enters, leaves]) >= abs(missing):
            break
        following[enters], chosen[leaves] = chosen[leaves], following[enters]
    return chosen


@dataclass(frozen=True)
class MarkedCollator:
    """A trainer's collator, telling beside its batch which rows are rehearsed and which they are.

    Attributes:
        collate: The trainer's collator.
        marked: Whether anyone looks at the marks.
    """

    collate: Collate
    marked: bool

    def __call__(self, rows: list[Any]) -> dict[str, Any]:
        """Collate rows of :class:`MixedRows`."""
        batch = dict(self.collate([row["item"] for row in rows]))
        if self.marked:
            keys = keys_of(batch)
            if len(keys) != len(rows):
                raise UsageError(
                    f"the collator makes {len(keys)} rows of {len(rows)}; methods that look at "
                    "each row's loss need one each",
                    fix="padding_free=False, and packing=False or packing_strategy='wrapped'",
                )
            batch[KEYS] = keys
            batch[REPLAYED] = torch.tensor([row["replayed"] for row in rows])
        return batch

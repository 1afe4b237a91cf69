"""The rows of someone else's Trainer: read as examples, and rehearsed ones in their form.

A Trainer's rows are whatever its collator understands.  One row at a time goes through that very
collator, and what comes out is what the model would be taught: token ids, and which of them are
learned.  Rehearsed rows go the other way, into the columns that the dataset has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from forgetless.errors import DataError, UsageError
from forgetless.methods.batch import IGNORED
from forgetless.tasks.render import Encoded

Item = Mapping[str, Any]
Collate = Callable[[list[Any]], Mapping[str, Any]]

KEYS, REPLAYED = "forgetless_keys", "forgetless_replayed"  # what a marked batch says of its rows


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

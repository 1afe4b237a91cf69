from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from forgetless.errors import DataError, PlanError
from forgetless.methods.base import Method
from forgetless.methods.compose import Compose
from forgetless.methods.stage import RehearsalRows, Workbench
from forgetless.tasks.examples import Examples, Origin
from forgetless.tasks.render import Encoded
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task
from forgetless.training.schedule import Schedule
from tests.methods.probes import NoConfig
from tests.tiny import build_tokenizer
from tests.training.build import make_task, one_stage_a_task, settings, stage_schedule

tokenizer = cache(build_tokenizer)


def texts(*lengths: int, name: str = "texts") -> Task:
    """Plain texts of so many tokens each, the closing one included."""
    return make_task(name, [Row(str(n), (), "x" * (k - 1)) for n, k in enumerate(lengths)])


def scheduled(task: Task, *, seed: int = 0, context: int = 1000, **config: object) -> Schedule:
    (stage,) = one_stage_a_task([task], seed)
    wanted = settings(**{"steps": None, **config})
    return stage_schedule(stage, Compose(), tokenizer(), wanted, context)


def rows_by_epoch(schedule: Schedule) -> list[list[str]]:
    lines = [json.loads(line) for line in schedule.lines()]
    epochs: dict[int, list[str]] = {}
    for line in lines:
        epochs.setdefault(line["epoch"], []).append(line["row"])
    assert list(epochs) == list(range(1, len(epochs) + 1))
    return list(epochs.values())


def test_each_epoch_is_every_row_once_in_an_order_of_its_own() -> None:
    epochs = rows_by_epoch(scheduled(texts(*[5] * 20), epochs=4))
    assert len(epochs) == 4
    assert all(sorted(rows) == sorted(map(str, range(20))) for rows in epochs)
    assert len({tuple(rows) for rows in epochs}) == 4


@pytest.mark.parametrize(
    ("epochs", "sizes"),
    [(0.5, [5]), (1, [10]), (1.5, [10, 5]), (2.25, [10, 10, 2]), (2.3, [10, 10, 3]), (0.01, [1])],
)
def test_part_of_an_epoch_is_part_of_the_rows_and_never_none(
    epochs: float, sizes: list[int]
) -> None:
    found = rows_by_epoch(scheduled(texts(*[5] * 10), epochs=epochs))
    assert [len(rows) for rows in found] == sizes
    assert all(len(set(rows)) == len(rows) for rows in found)


@given(rows=st.integers(1, 15), steps=st.integers(1, 9), batch=st.integers(1, 4))
@hypothesis_settings(max_examples=30, deadline=None)
def test_steps_fix_the_number_of_rows_whatever_the_epochs(
    rows: int, steps: int, batch: int
) -> None:
    schedule = scheduled(
        texts(*[5] * rows), steps=steps, batch_size=batch, accumulation=2, epochs=1
    )
    wanted = steps * batch * 2
    assert len(schedule) == wanted
    counts = Counter(row for epoch in rows_by_epoch(schedule) for row in epoch)
    assert max(counts.values()) - min(counts[str(n)] for n in range(rows)) <= 1


def test_steps_are_a_longer_part_of_the_same_order() -> None:
    long, short = (scheduled(texts(*[5] * 9), steps=n, batch_size=2) for n in (20, 3))
    assert long.order.tolist()[:6] == short.order.tolist()


def test_order_depends_on_seed_and_stage_and_on_nothing_else() -> None:
    task = texts(*[5] * 20)
    assert [*scheduled(task, seed=3).lines()] == [*scheduled(task, seed=3).lines()]
    assert [*scheduled(task, seed=3).lines()] != [*scheduled(task, seed=4).lines()]
    stages = one_stage_a_task([task, task])
    first, second = (
        stage_schedule(stage, Compose(), tokenizer(), settings(steps=None)).order.tolist()
        for stage in stages
    )
    assert first != second


def test_tokens_are_counted_with_prompts_and_repeats() -> None:
    schedule = scheduled(texts(5, 7, 9), epochs=2)
    assert schedule.tokens == 2 * (5 + 7 + 9)
    assert schedule.replayed_tokens == 0


def test_row_too_long_is_an_error_that_says_which_and_what_to_do() -> None:
    with pytest.raises(DataError) as caught:
        scheduled(texts(5, 21, 9), max_length=20)
    assert caught.value.message == (
        "texts.jsonl: row '1' of task 'texts' has 21 tokens, more than training.max_length = 20"
    )
    assert (
        caught.value.fix
        == "--set training.max_length=21, or  --set training.too_long=drop (or truncate)"
    )


@pytest.mark.parametrize(("context", "can_grow"), [(20, False), (21, True)])
def test_a_longer_limit_is_advised_only_where_the_model_reaches_so_far(
    context: int, can_grow: bool
) -> None:
    with pytest.raises(DataError) as caught:
        scheduled(texts(5, 21, 9), max_length=19, context=context)
    assert ("--set training.max_length=21" in (caught.value.fix or "")) is can_grow


def test_row_of_just_the_longest_length_is_kept_whole() -> None:
    assert scheduled(texts(20), max_length=20, epochs=1).tokens == 20


def test_dropped_rows_are_left_out_and_counted() -> None:
    schedule = scheduled(texts(5, 21, 9, 30), max_length=20, too_long="drop", epochs=1)
    assert sorted(rows_by_epoch(schedule)[0]) == ["0", "2"]
    assert (schedule.dropped, schedule.truncated) == (2, 0)


def test_truncated_rows_are_cut_and_counted() -> None:
    schedule = scheduled(texts(5, 21, 9, 30), max_length=20, too_long="truncate", epochs=1)
    lengths = {line["row"]: line["tokens"] for line in map(json.loads, schedule.lines())}
    assert lengths == {"0": 5, "1": 20, "2": 9, "3": 20}
    assert (schedule.dropped, schedule.truncated) == (0, 2)


def test_truncated_row_whose_answer_was_cut_off_is_dropped() -> None:
    long = Row("long", (Turn("user", "x" * 40),), "answer")
    short = Row("short", (Turn("user", "x"),), "y")
    schedule = scheduled(
        make_task("t", [long, short]), max_length=20, too_long="truncate", epochs=1
    )
    assert rows_by_epoch(schedule) == [["short"]]
    assert schedule.dropped == 1


def test_stage_with_nothing_left_to_learn_is_an_error() -> None:
    with pytest.raises(DataError, match=r"no training row is within training\.max_length = 8"):
        scheduled(texts(9, 10), max_length=8, too_long="drop")
    with pytest.raises(DataError, match="no training row is within the model's context of 8"):
        scheduled(texts(9, 10), context=8, max_length=9, too_long="drop")


def test_row_longer_than_the_models_context_is_too_long_whatever_the_plan_allows() -> None:
    with pytest.raises(DataError) as caught:
        scheduled(texts(5, 21), context=20, max_length=100)
    assert caught.value.message.endswith("has 21 tokens, more than the model's context of 20")
    assert caught.value.fix == "--set training.too_long=drop (or truncate)"
    cut = scheduled(texts(5, 21), context=20, max_length=100, too_long="truncate", epochs=1)
    assert sorted(cut.examples.lengths) == [5, 20]
    kept = scheduled(texts(5, 21), context=20, max_length=100, too_long="drop", epochs=1)
    assert kept.examples.lengths.tolist() == [5]


def test_examples_come_back_as_they_went_in() -> None:
    task = make_task(
        "t", [Row("0", (Turn("user", "hi"),), "you"), Row("1", (Turn("user", "a b"),), "c")]
    )
    renderer = task.renderer(tokenizer())
    schedule = scheduled(task)
    for index, row in enumerate(task.train):
        (encoded,) = renderer.encode(row)
        assert schedule.examples[index] == encoded


class Given(Method[NoConfig]):
    """Rehearses what it is given."""

    name = "given"
    Config = NoConfig

    def __init__(self, *rows: RehearsalRows) -> None:
        super().__init__(NoConfig())
        self.rows = rows

    def rehearsal(self, bench: Workbench) -> Sequence[RehearsalRows]:
        return self.rows


def mixed(*rows: RehearsalRows, equal_tokens: bool = False, epochs: float = 2) -> Schedule:
    (stage,) = one_stage_a_task([texts(*[10] * 30)])
    wanted = settings(steps=None, epochs=epochs, equal_tokens=equal_tokens)
    return stage_schedule(stage, Compose([Given(*rows)]), tokenizer(), wanted)


def test_rehearsal_that_is_tokens_already_is_learned_as_it_is() -> None:
    encoded = [Encoded([300 + n, 5, 6, 7, 8], [False, False, True, True, n > 1]) for n in range(4)]
    own = Examples.of(encoded, [Origin("self", str(n)) for n in range(4)])
    schedule = mixed(RehearsalRows(own, 0.2))
    learned = {
        schedule.examples.origins[index]: schedule.examples[index]
        for index in schedule.order.tolist()
        if index >= schedule.new
    }
    assert learned == dict(zip(own.origins, encoded, strict=True))
    assert schedule.replayed_tokens / schedule.tokens == pytest.approx(0.2, abs=0.01)


def test_rehearsal_without_any_example_leaves_plain_training() -> None:
    assert mixed(RehearsalRows(Examples.of([], []), 0.2)).replayed_tokens == 0


def test_rehearsal_that_leaves_no_room_for_new_rows_is_refused() -> None:
    own = Examples.of([Encoded([5, 6], [True, True])], [Origin("self", "1")])
    with pytest.raises(PlanError, match=r"ratios of rehearsal add up to 1\.1 and leave no room"):
        mixed(RehearsalRows(own, 0.6), RehearsalRows(own, 0.5))


def test_with_equal_tokens_rehearsed_rows_take_the_place_of_new_ones() -> None:
    encoded = [Encoded([300 + n, 5, 6, 7, 8], [True] * 5) for n in range(40)]
    own = Examples.of(encoded, [Origin("self", str(n)) for n in range(40)])
    plain = mixed(equal_tokens=True).tokens
    assert plain == mixed().tokens == 2 * 30 * 10
    equal = mixed(RehearsalRows(own, 0.2), equal_tokens=True)
    assert abs(equal.tokens - plain) <= 10
    assert equal.replayed_tokens / equal.tokens == pytest.approx(0.2, abs=0.01)
    assert mixed(RehearsalRows(own, 0.2)).tokens == pytest.approx(plain / 0.8, abs=10)


def test_passes_that_are_whole_but_for_rounding_take_no_epoch_more() -> None:
    assert 10 * (1 - 0.7) > 3
    own = Examples.of([Encoded([300, 5, 6], [True] * 3)], [Origin("self", "0")])
    schedule = mixed(RehearsalRows(own, 0.7), equal_tokens=True, epochs=10)
    assert int((schedule.order < schedule.new).sum()) == 3 * schedule.new
    assert int(schedule.epochs.max()) == 3

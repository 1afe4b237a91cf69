from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from forgetless.errors import DataError, PlanError
from forgetless.methods.compose import Compose
from forgetless.methods.parts.passes import embeddings, mean_losses
from forgetless.methods.parts.selection import herded
from forgetless.methods.replay import Replay, ReplayConfig
from forgetless.methods.self_replay import SelfReplay
from forgetless.methods.stage import Stage, Workbench
from forgetless.plan import MethodSpec
from forgetless.tasks.examples import Encoder
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task
from forgetless.training.schedule import Schedule
from tests.tiny import build_tokenizer, write_rows
from tests.training.build import (
    colour_task,
    end_stage,
    exchange,
    fresh,
    make_task,
    one_stage_a_task,
    settings,
    stage_schedule,
    workbench,
)

tokenizer = cache(build_tokenizer)


def replay(**options: Any) -> Compose:
    return Compose.from_plan([MethodSpec(name="replay", options=options)])


def text_task(name: str, lengths: Sequence[int]) -> Task:
    """Plain texts of so many tokens each, the closing one included."""
    rows = [Row(str(n), (), (f"{n} " * length)[: length - 1]) for n, length in enumerate(lengths)]
    return make_task(name, rows, render="plain", score="nll")


def scheduled(methods: Compose, tasks: Sequence[Task], seed: int = 0, **config: Any) -> Schedule:
    """The schedule of the last stage, after the methods went through the earlier ones."""
    *earlier, last = one_stage_a_task(tasks, seed)
    for stage in earlier:
        methods.keep_rows(stage)
    return stage_schedule(last, methods, tokenizer(), settings(**{"steps": None, **config}))


def lines(schedule: Schedule) -> list[dict[str, Any]]:
    return [json.loads(line) for line in schedule.lines()]


lengths = st.lists(st.integers(3, 35), min_size=1, max_size=30)


@given(
    new=st.lists(st.integers(30, 60), min_size=60, max_size=90),  # half an old row is under 1%
    old=lengths,
    older=lengths,
    ratio=st.floats(0.01, 0.9),
    epochs=st.sampled_from([1, 1.5, 2, 3, 3.7]),
    seed=st.integers(0, 9),
)
@hypothesis_settings(max_examples=20, deadline=None)
def test_share_of_old_tokens_is_what_was_asked_to_within_half_a_row_and_a_point(
    new: list[int], old: list[int], older: list[int], ratio: float, epochs: float, seed: int
) -> None:
    tasks = [text_task("older", older), text_task("old", old), text_task("new", new)]
    schedule = scheduled(replay(ratio=ratio), tasks, seed, epochs=epochs)
    fresh = schedule.tokens - schedule.replayed_tokens
    wanted = ratio / (1 - ratio) * fresh
    assert abs(schedule.replayed_tokens - wanted) <= max(old + older) / 2 + 1e-6
    assert schedule.replayed_tokens / schedule.tokens == pytest.approx(ratio, abs=0.01)


@given(ratio=st.floats(0.02, 0.6), steps=st.integers(5, 40), seed=st.integers(0, 9))
@hypothesis_settings(max_examples=15, deadline=None)
def test_share_holds_wherever_training_stops(ratio: float, steps: int, seed: int) -> None:
    """To within a few rows, in the middle of an epoch too."""
    draw = random.Random(seed)
    tasks = [
        text_task("old", [draw.randint(3, 40) for _ in range(60)]),
        text_task("new", [draw.randint(3, 40) for _ in range(200)]),
    ]
    schedule = scheduled(replay(ratio=ratio), tasks, seed, steps=steps, batch_size=8)
    assert len(schedule) == 8 * steps
    assert abs(schedule.replayed_tokens - ratio * schedule.tokens) <= 2 * 40


def test_old_rows_are_spread_over_the_whole_epoch() -> None:
    tasks = [text_task("old", [10] * 50), text_task("new", [10] * 150)]
    schedule = scheduled(replay(ratio=0.25), tasks, epochs=1)
    replayed = [line["replayed"] for line in lines(schedule)]
    assert [sum(replayed[start : start + 20]) for start in range(0, 200, 20)] == pytest.approx(
        [5] * 10, abs=1
    )


def test_every_old_row_is_used_before_any_is_used_again() -> None:
    tasks = [text_task("old", range(3, 23)), text_task("new", [12] * 40)]
    schedule = scheduled(replay(ratio=0.3), tasks, epochs=7)
    drawn = [line["row"] for line in lines(schedule) if line["replayed"]]
    assert len(drawn) > 60
    for end in range(1, len(drawn) + 1):
        used = Counter(drawn[:end])
        assert max(used.values()) - min(used[str(row)] for row in range(20)) <= 1


def test_old_rows_are_drawn_anew_in_every_epoch() -> None:
    tasks = [text_task("old", [10] * 100), text_task("new", [10] * 90)]
    schedule = scheduled(replay(ratio=0.1), tasks, epochs=5)
    drawn = [
        frozenset(
            line["row"] for line in lines(schedule) if line["replayed"] and line["epoch"] == n
        )
        for n in range(1, 6)
    ]
    assert [len(rows) for rows in drawn] == [10] * 5
    assert len(frozenset.union(*drawn)) == 50  # 100 rows are enough for all to differ
    different = scheduled(replay(ratio=0.1), tasks, seed=1, epochs=5)
    assert different.lines() != schedule.lines()


def test_new_rows_keep_the_order_they_have_without_replay() -> None:
    tasks = [text_task("old", [10] * 30), text_task("new", range(5, 45))]
    plain = scheduled(Compose(), tasks, epochs=3)
    mixed = scheduled(replay(ratio=0.4), tasks, epochs=3)
    assert [line for line in lines(mixed) if not line["replayed"]] == lines(plain)


def test_nothing_is_replayed_in_the_first_stage() -> None:
    methods = replay(ratio=0.5)
    schedule = scheduled(methods, [text_task("only", [10] * 5)])
    assert schedule.replayed_tokens == 0
    assert not methods.acting_in(one_stage_a_task([text_task("only", [10])])[0])


def test_test_items_of_any_task_are_never_replayed_even_if_a_training_file_holds_them() -> None:
    leaked = [
        exchange("own", "What is own?", "own"),
        exchange("later", "what  IS later?", "Later"),  # other case and spacing
        exchange("general", "What is general?", "general"),
    ]
    chat = Row(
        "chat",  # a whole exchange of a test in the middle of a conversation
        (Turn("user", "What is later?"), Turn("assistant", "later"), Turn("user", "Thanks, and?")),
        "That is all.",
    )
    safe = [exchange(n, f"What is {n}?", str(n)) for n in range(3)]
    first = make_task("first", [*safe, *leaked, chat], [exchange("t", "What is own?", "own")])
    second = make_task("second", colour_task("c").train, [exchange("t", "What is later?", "later")])
    general = make_task("general", (), [exchange("t", "What is general?", "general")])
    held_back = one_stage_a_task([first, second, general])[0].held_back
    methods = replay(ratio=0.9)
    one, two = one_stage_a_task([first, second])
    methods.keep_rows(one)
    stage = Stage(2, two.name, two.tasks, two.earlier, held_back)
    schedule = stage_schedule(stage, methods, tokenizer(), settings(steps=None, epochs=5))
    replayed = {line["row"] for line in lines(schedule) if line["replayed"]}
    assert replayed == {"0", "1", "2"}


def test_provenance_names_task_row_epoch_and_tokens_of_everything_learned() -> None:
    tasks = [colour_task("old", 0), colour_task("new", 1)]
    schedule = scheduled(replay(ratio=0.3), tasks, epochs=2)
    rows = {(task.name, row.id): row for task in tasks for row in task.train}
    found = lines(schedule)
    assert len(found) == len(schedule)
    assert [line["epoch"] for line in found] == sorted(line["epoch"] for line in found)
    for position, line in enumerate(found):
        row = rows[line["task"], line["row"]]
        text = f"<|user|>{row.prompt[0].content}<|end|>\n<|assistant|>{row.answer}<|end|>\n"
        example = schedule.examples[int(schedule.order[position])]
        assert tokenizer().decode(example.ids) == text
        assert line["tokens"] == len(example)
        assert line["replayed"] == (line["task"] == "old") == schedule.replayed(position)
    assert sum(line["tokens"] for line in found) == schedule.tokens
    assert sum(line["tokens"] for line in found if line["replayed"]) == schedule.replayed_tokens


def ended(options: dict[str, Any], sizes: Sequence[int], seed: int = 0) -> list[tuple[str, int]]:
    """The buffer after tasks of so many rows."""
    method = Replay(ReplayConfig.model_validate(options))
    tasks = [
        make_task(f"t{n}", [Row(str(i), (), "x") for i in range(size)])
        for n, size in enumerate(sizes)
    ]
    for stage in one_stage_a_task(tasks, seed):
        method.keep_rows(stage)
    return [(str(task), int(index)) for task, index in method.state().values["kept"]]


def uniformity(sizes: Sequence[int], streams: Sequence[list[tuple[str, int]]]) -> float:
    """p-value of 'every row is kept equally often'.

    Keeping k out of n is without replacement: counts over S streams have variance S p (1 - p) and
    covariance -S p (1 - p) / (n - 1), so that the sum below is chi-square with n - 1 degrees.
    """
    counts = Counter(row for stream in streams for row in stream)
    rows = [(f"t{n}", i) for n, size in enumerate(sizes) for i in range(size)]
    kept = len(streams[0]) / len(rows)
    expected = len(streams) * kept
    squares = sum((counts[row] - expected) ** 2 for row in rows)
    statistic = (len(rows) - 1) / len(rows) * squares / (expected * (1 - kept))
    return float(stats.chi2.sf(statistic, len(rows) - 1))


def test_reservoir_is_a_uniform_sample_of_all_rows_seen() -> None:
    sizes = [5, 2, 5]
    streams = [ended({"buffer": "reservoir", "size": 5}, sizes, seed) for seed in range(2000)]
    assert all(len(stream) == len(set(stream)) == 5 for stream in streams)
    assert 0.001 < uniformity(sizes, streams) < 0.999
    # the same figure on a buffer that forgets its first task is far off
    biased = [[row for row in stream if row[0] != "t0"] + [("t0", 0)] * 5 for stream in streams]
    assert uniformity(sizes, [stream[:5] for stream in biased]) < 1e-6


def test_balanced_buffer_is_uniform_within_each_task() -> None:
    streams = [ended({"buffer": "balanced", "size": 9}, [20, 20, 20], s) for s in range(1000)]
    for task in ("t0", "t1", "t2"):
        own = [[("t0", i) for name, i in stream if name == task] for stream in streams]
        assert all(len(kept) == 3 for kept in own)
        assert 0.001 < uniformity([20], own) < 0.999


@pytest.mark.parametrize(
    ("size", "sizes", "kept"),
    [
        (12, [20, 20, 20], [4, 4, 4]),
        (10, [20, 20, 20], [3, 3, 4]),
        (12, [2, 20, 20], [2, 5, 5]),  # what a small task leaves goes to the others
        (12, [20, 2, 20], [5, 2, 5]),
        (50, [5, 6, 7], [5, 6, 7]),
        (12, [20], [12]),
        (2, [5, 5, 5], [0, 1, 1]),
    ],
)
def test_balanced_buffer_keeps_equally_many_of_each_task(
    size: int, sizes: list[int], kept: list[int]
) -> None:
    found = ended({"buffer": "balanced", "size": size}, sizes)
    assert len(found) == len(set(found))
    assert sorted(Counter(name for name, _ in found).values()) == sorted(n for n in kept if n)


@pytest.mark.parametrize("buffer", ["reservoir", "balanced"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_buffer_never_holds_more_than_its_size(buffer: str, size: int) -> None:
    assert len(ended({"buffer": buffer, "size": size}, [3, 30, 10])) == min(size, 43)


def test_buffer_of_all_rows_holds_all_rows_and_names_none() -> None:
    tasks = [colour_task("a"), colour_task("b", 1), colour_task("c", 2)]
    *earlier, last = one_stage_a_task(tasks)
    method = Replay()
    for stage in earlier:
        method.keep_rows(stage)
    assert method.state().values == {"kept": [], "whole": {"a": 12, "b": 12}, "seen": 0}
    restored = Replay()
    restored.restore(method.state())
    for one in (method, restored):
        ((ratio, rows),) = one.rows(last)
        assert ratio == 0.1
        assert [*rows] == [(task, row) for task in tasks[:2] for row in task.train]


def test_reservoir_goes_on_after_restoring_as_if_nothing_had_happened() -> None:
    tasks = [make_task(f"t{n}", [Row(str(i), (), "x") for i in range(9)]) for n in range(3)]
    config = ReplayConfig.model_validate({"buffer": "reservoir", "size": 4})
    whole, part = Replay(config), Replay(config)
    for stage in one_stage_a_task(tasks):
        whole.keep_rows(stage)
        part.keep_rows(stage)
        restored = Replay(config)
        state = part.state()
        state.values = json.loads(json.dumps(state.values))
        restored.restore(state)
        part = restored
    assert part.state() == whole.state()
    assert whole.state().values["seen"] == 27


@pytest.fixture
def general(tmp_path: Path) -> Path:
    rows = [{"prompt": f"General {n}?", "completion": f"yes {n}"} for n in range(9)]
    return write_rows(tmp_path / "general.jsonl", rows)


def test_general_rows_are_mixed_in_from_the_first_stage(general: Path) -> None:
    new = make_task("new", [exchange(n, f"new {n}?", "no") for n in range(200)])
    methods = replay(ratio=0.3, general=str(general), general_ratio=0.1)
    assert methods.acting_in(one_stage_a_task([new])[0])
    schedule = scheduled(methods, [new], epochs=1)
    assert schedule.replayed_tokens / schedule.tokens == pytest.approx(0.1, abs=0.01)
    texts = [tokenizer().decode(schedule.examples[i].ids) for i in schedule.order.tolist()]
    assert {text[8:15] for text in texts} == {"General", *(t[8:15] for t in texts if "new" in t)}
    kinds = {(line["task"], line["replayed"]) for line in lines(schedule)}
    assert kinds == {("new", False), ("general rows", True)}  # no task can be named so


def test_a_share_of_nothing_rehearses_nothing_general(general: Path) -> None:
    new = make_task("new", [exchange(n, f"new {n}?", "no") for n in range(20)])
    methods = replay(ratio=0.3, general=str(general), general_ratio=0)
    assert not methods.acting_in(one_stage_a_task([new])[0])
    assert scheduled(methods, [new], epochs=1).replayed_tokens == 0


def test_old_and_general_rows_have_each_their_own_share(general: Path) -> None:
    old = make_task("old", [exchange(n, f"old {n}?", "no") for n in range(50)])
    new = make_task("new", [exchange(n, f"new {n}?", "no") for n in range(300)])
    methods = replay(ratio=0.3, general=str(general), general_ratio=0.1)
    schedule = scheduled(methods, [old, new], epochs=1)
    tokens = {"old": 0, "General": 0, "new": 0}
    for index in schedule.order.tolist():
        text = tokenizer().decode(schedule.examples[index].ids)
        tokens[next(kind for kind in tokens if kind in text)] += len(schedule.examples[index])
    share = {kind: count / schedule.tokens for kind, count in tokens.items()}
    assert share == pytest.approx({"old": 0.3, "General": 0.1, "new": 0.6}, abs=0.01)


def test_general_rows_that_are_test_items_are_left_out(general: Path) -> None:
    new = make_task(
        "new",
        [exchange(n, f"new {n}?", "no") for n in range(50)],
        [exchange("t", "general 3?", "YES 3")],
    )
    schedule = scheduled(replay(general=str(general), general_ratio=0.5), [new], epochs=3)
    replayed = {line["row"] for line in lines(schedule) if line["replayed"]}
    assert replayed == {str(n) for n in range(9)} - {"3"}


def test_shares_that_leave_no_room_for_new_rows_are_refused(general: Path) -> None:
    shares = {"ratio": 0.7, "general": str(general), "general_ratio": 0.25}
    assert replay(**shares).label == "replay"
    with pytest.raises(PlanError, match=r"ratios of rehearsal add up to 1\.0\d and leave no room"):
        Compose([Replay(**shares), SelfReplay(ratio=0.06)])
    with pytest.raises(PlanError, match="ratios of rehearsal add up to 1 and leave no room"):
        replay(**{**shares, "general_ratio": 0.3})


def test_row_too_long_to_be_rehearsed_is_told_from_a_new_one() -> None:
    tasks = [text_task("old", [10, 99]), text_task("new", [10])]
    with pytest.raises(DataError, match="rehearsed row '1' of task 'old' has 99 tokens"):
        scheduled(replay(ratio=0.5), tasks, max_length=50)
    dropped = scheduled(replay(ratio=0.5), tasks, max_length=50, too_long="drop")
    assert {line["row"] for line in lines(dropped) if line["replayed"]} == {"0"}
    assert dropped.dropped == 0  # it counts new rows


def test_pool_emptied_by_test_items_leaves_plain_training() -> None:
    asked = exchange("a", "What?", "that")
    tasks = [make_task("old", [asked], [asked]), text_task("new", [10] * 4)]
    assert scheduled(replay(ratio=0.5), tasks).replayed_tokens == 0


def test_long_row_waits_until_enough_is_owed() -> None:
    """40 tokens are owed 5 at a time: the row comes once in 8 epochs, first when half is owed."""
    tasks = [text_task("old", [40]), text_task("new", [5] * 9)]
    schedule = scheduled(replay(ratio=0.1), tasks, epochs=16)
    assert [line["epoch"] for line in lines(schedule) if line["replayed"]] == [4, 12]
    assert math.isclose(schedule.replayed_tokens / schedule.tokens, 0.1)


def test_number_types_do_not_leak_into_the_state() -> None:
    kept = ended({"buffer": "balanced", "size": 3}, [np.int64(5)])  # type: ignore[list-item]
    assert json.loads(json.dumps(kept)) == [list(row) for row in kept]


def test_choice_by_the_model_is_refused_where_all_rows_are_kept() -> None:
    for select in ("surprise", "coverage"):
        with pytest.raises(PlanError, match=f"select: {select} has nothing to choose"):
            replay(select=select)
        replay(select=select, buffer="balanced")


def test_random_choice_is_what_it_was_before_there_was_another() -> None:
    """Rows as the version without ``select`` had them; options that do nothing leave no trace."""
    assert ended({"buffer": "reservoir", "size": 4}, [6, 6], 3) == [
        ("t1", 0), ("t0", 5), ("t1", 3), ("t1", 5),
    ]  # fmt: skip
    assert ended({"buffer": "balanced", "size": 5}, [6, 3, 6], 3) == [
        ("t1", 0), ("t0", 2), ("t0", 1), ("t2", 5), ("t2", 3),
    ]  # fmt: skip
    *_, stage = one_stage_a_task([colour_task("a"), colour_task("b", 1)], 7)
    identity = {
        "ratio": 0.2,
        "buffer": "all",
        "size": 1000,
        "general": None,
        "general_ratio": 0.05,
        "rows": "1b4846a2e66b995719c22a53ccf80c12582bbfe921b0a9c7fb7deb4849b11223",
    }
    assert Replay(ratio=0.2).identity(stage) == identity
    assert Replay(ratio=0.2, random_share=0.9).identity(stage) == identity


def test_choice_by_the_model_enters_the_identity() -> None:
    stage = one_stage_a_task([colour_task("a")])[0]

    def identity(**options: Any) -> dict[str, Any]:
        return Replay(buffer="balanced", **options).identity(stage)

    assert identity(select="surprise") != identity(select="coverage")
    assert identity(select="surprise") != identity(select="surprise", random_share=0.1)
    assert identity(select="coverage") == identity(select="coverage", random_share=0.1)


@pytest.mark.parametrize(
    ("options", "learns"),
    [
        ({}, False),
        ({"buffer": "balanced"}, False),
        ({"buffer": "balanced", "select": "surprise"}, True),
        ({"buffer": "reservoir", "select": "coverage"}, True),
        ({"buffer": "balanced", "select": "surprise", "ratio": 0}, False),
    ],
)
def test_model_is_needed_at_the_end_of_a_stage_only_to_choose_rows(
    options: dict[str, Any], learns: bool
) -> None:
    methods = replay(**options)
    assert methods.learns_at_end == learns
    stage = one_stage_a_task([colour_task("a")])[0]
    if not learns:
        methods.end_stage(Workbench(stage, None, None, None))  # type: ignore[arg-type]


def noticing(count: int = 12) -> Task:
    """Rows of very different losses: answers of one letter again and again, and of many; all
    have one id, as ids need not be unique among training rows.
    """
    letters = "kqzjvwxyghbp"
    rows = [exchange("same", f"row {n}?", letters[: 1 + n % 12] * 2) for n in range(count)]
    return make_task("t", rows)


def chosen(
    options: dict[str, Any], model: Path, tasks: Sequence[Task], **config: Any
) -> dict[str, list[int]]:
    """What the buffer keeps of each task in the end, by task."""
    method = Replay(**{"buffer": "balanced", "size": 6, **options})
    loaded = fresh(model)
    for stage in one_stage_a_task(tasks):
        method.keep_rows(stage)
        method.end_stage(workbench(loaded, stage, settings(**config)))
    kept = method.state().values["kept"]
    return {task.name: [index for name, index in kept if name == task.name] for task in tasks}


def losses_of(model: Path, task: Task) -> list[float]:
    loaded = fresh(model)
    bench = workbench(loaded, one_stage_a_task([task])[0])
    return [float(loss) for loss in mean_losses(loaded.model, bench.new)]


@pytest.mark.parametrize("select", ["surprise", "coverage"])
def test_model_chooses_among_rows_that_may_be_rehearsed(select: str, tiny_model: Path) -> None:
    rows = noticing().train
    task = make_task("t", rows, rows[:6])
    assert sorted(chosen({"select": select}, tiny_model, [task])["t"]) == [6, 7, 8, 9, 10, 11]


def test_rows_of_highest_loss_are_kept_beside_random_ones(tiny_model: Path) -> None:
    losses = losses_of(tiny_model, noticing())
    ranked = sorted(range(12), key=lambda row: -losses[row])
    (kept,) = chosen({"select": "surprise"}, tiny_model, [noticing()]).values()
    assert len(set(kept)) == 6
    stage = one_stage_a_task([noticing()])[0]
    drawn = stage.rng("replay/select").permutation(12).tolist()
    assert kept[0] == drawn[0]
    assert set(kept[1::2]) <= set(ranked[:6])
    (mostly,) = chosen(
        {"select": "surprise", "random_share": 0.01}, tiny_model, [noticing()]
    ).values()
    assert mostly[1:] == [row for row in ranked if row != mostly[0]][:5]


def test_rows_that_cover_the_task_are_kept_in_herding_order(tiny_model: Path) -> None:
    loaded = fresh(tiny_model)
    bench = workbench(loaded, one_stage_a_task([noticing()])[0])
    expected = herded(embeddings(loaded.model, bench.new), 6)
    assert expected != sorted(expected)
    found = chosen({"select": "coverage"}, tiny_model, [noticing()])
    assert found == {"t": expected}


def test_choice_is_the_model_s_as_the_stage_left_it(tiny_model: Path) -> None:
    """Rows that it has learned by heart are no longer surprising."""
    method = Replay(buffer="balanced", size=4, select="surprise", random_share=0.01)
    (stage,) = one_stage_a_task([noticing()])
    loaded = fresh(tiny_model)
    learned = workbench(loaded, stage).new
    optimiser = torch.optim.AdamW(loaded.model.parameters(), lr=1e-2)
    known = np.argsort(losses_of(tiny_model, noticing()))[6:].tolist()
    for _ in range(25):
        for row in known:
            ids = torch.tensor([learned[row].ids])
            loaded.model(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    method.keep_rows(stage)
    method.end_stage(workbench(loaded, stage))
    kept = [index for _, index in method.state().values["kept"]]
    assert set(kept[1:]).isdisjoint(known)


@pytest.mark.parametrize("select", ["surprise", "coverage"])
@pytest.mark.parametrize("buffer", ["balanced", "reservoir"])
def test_as_many_rows_of_each_task_are_kept_as_by_chance(
    select: str, buffer: str, tiny_model: Path
) -> None:
    """The dry run, which has no model, counts right."""
    tasks = [colour_task(name, n, count=9) for n, name in enumerate("abc")]
    method = Replay(buffer=buffer, size=7, select=select)
    by_chance = Replay(buffer=buffer, size=7)
    loaded = fresh(tiny_model)
    for stage in one_stage_a_task(tasks):
        method.keep_rows(stage)
        by_chance.keep_rows(stage)
        before = method.state().values
        assert [name for name, _ in before["kept"]] == [
            name for name, _ in by_chance.state().values["kept"]
        ]
        method.end_stage(workbench(loaded, stage))
        after = method.state().values
        assert [name for name, _ in after["kept"]] == [name for name, _ in before["kept"]]
        assert len({tuple(row) for row in after["kept"]}) == 7


def test_balanced_buffer_keeps_the_best_rows_of_a_task_when_others_arrive(
    tiny_model: Path,
) -> None:
    tasks = [noticing(), colour_task("b", 1), colour_task("c", 2)]
    at_first = chosen({"select": "surprise"}, tiny_model, tasks[:1])["t"]
    in_the_end = chosen({"select": "surprise"}, tiny_model, tasks)["t"]
    assert in_the_end == at_first[:2]


def test_rows_that_are_too_long_to_be_learned_are_chosen_last(tiny_model: Path) -> None:
    rows = [exchange("same", f"{n}?", "x" * (40 if n in (0, 3) else 5 + n)) for n in range(6)]
    task = make_task("t", rows)
    config = {"max_length": 35, "too_long": "drop"}
    for select in ("surprise", "coverage"):
        (kept,) = chosen({"select": select, "size": 4}, tiny_model, [task], **config).values()
        assert sorted(kept) == [1, 2, 4, 5]
        (more,) = chosen({"select": select, "size": 5}, tiny_model, [task], **config).values()
        assert more == [*kept, 0] if select == "surprise" else more[-1] == 0
    none = {"max_length": 8, "too_long": "drop"}
    assert chosen({"select": "surprise", "size": 4}, tiny_model, [task], **none) == {
        "t": [0, 1, 2, 3]
    }


def test_row_of_several_examples_counts_by_their_mean(tiny_model: Path) -> None:
    """A plain conversation is one example for each answer."""
    turns = (Turn("user", "a?"), Turn("assistant", "kqzjvwx"), Turn("user", "b?"))
    rows = [Row("same", turns, "aaaaaaa"), *noticing(5).train]
    task = make_task("t", rows, render="plain")
    losses = losses_of(tiny_model, task)
    assert len(losses) == 7
    by_hand = [(losses[0] + losses[1]) / 2, *losses[2:]]
    options = {"select": "surprise", "random_share": 0.01}
    (kept,) = chosen(options, tiny_model, [task]).values()
    assert kept[1:] == [
        row for row in sorted(range(6), key=lambda row: -by_hand[row]) if row != kept[0]
    ]


def test_choice_survives_a_run_that_goes_on_from_disk(tiny_model: Path, tmp_path: Path) -> None:
    methods = replay(buffer="balanced", size=4, select="coverage")
    end_stage(methods, fresh(tiny_model), one_stage_a_task([noticing()])[0])
    methods.save(tmp_path / "state")
    again = replay(buffer="balanced", size=4, select="coverage")
    again.restore(tmp_path / "state")
    assert again.methods[0].state() == methods.methods[0].state()


def test_a_task_is_tokenised_for_the_first_stage_that_rehearses_it_and_for_no_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenised: list[str] = []
    encode = Encoder.encode

    def watched(self: Encoder, rows: Any, **more: Any) -> Any:
        tokenised.extend(sorted({task.name for task, _ in rows}))
        return encode(self, rows, **more)

    monkeypatch.setattr(Encoder, "encode", watched)
    tasks = [text_task(name, [20, 25, 30]) for name in ("a", "b", "c", "d")]
    methods = replay(ratio=0.5)
    for stage in one_stage_a_task(tasks, 0):
        found = stage_schedule(stage, methods, tokenizer(), settings(steps=None, epochs=3))
        methods.keep_rows(stage)
    assert tokenised == ["a", *("b", "a"), *("c", "b"), *("d", "c")]
    at_once = scheduled(replay(ratio=0.5), tasks, epochs=3)  # as in a process that goes on
    assert lines(found) == lines(at_once)
    assert found.examples.ids.tolist() == at_once.examples.ids.tolist()

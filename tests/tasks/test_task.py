"""Tasks as a plan makes them: splits, worked examples, scorers, overlap."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forgetless.errors import DataError, ModelError
from forgetless.plan import TaskConfig, make_plan
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task, exchange_hash, held_back, load_task, load_tasks
from tests.tasks.conftest import Write
from tests.tiny import build_tokenizer


def lines(numbers: Sequence[object]) -> str:
    return "".join(f'{{"prompt": "ask {n}?", "completion": "say {n}"}}\n' for n in numbers)


def load(*sequence: Any, test_only: Sequence[Any] = (), seed: int = 0) -> tuple[Task, ...]:
    keys = {"model": "m", "sequence": list(sequence), "test_only": list(test_only)}
    return load_tasks(make_plan(keys | {"training": {"seed": seed}}))


def only(*sequence: Any, **keys: Any) -> Task:
    (task,) = load(*sequence, **keys)
    return task


def answers(rows: Sequence[Row]) -> list[str]:
    return [row.answer for row in rows]


def refusal(*sequence: Any, **keys: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        load(*sequence, **keys)
    return caught.value


# Held-out splits


def test_the_named_share_of_rows_is_held_out(write: Write) -> None:
    task = only({"train": write("a.jsonl", lines(range(20))), "hold_out": 0.25})
    assert (len(task.train), len(task.test)) == (15, 5)


def test_held_out_rows_are_the_ones_training_lacks(write: Write) -> None:
    task = only(write("a.jsonl", lines(range(20))))
    assert sorted(answers([*task.train, *task.test])) == sorted(f"say {n}" for n in range(20))


def test_the_same_seed_holds_the_same_rows_out(write: Write) -> None:
    source = write("a.jsonl", lines(range(40)))
    assert answers(only(source, seed=3).test) == answers(only(source, seed=3).test)


def test_another_seed_holds_other_rows_out(write: Write) -> None:
    source = write("a.jsonl", lines(range(40)))
    assert answers(only(source, seed=3).test) != answers(only(source, seed=4).test)


def test_rows_keep_the_order_of_the_file_on_both_sides(write: Write) -> None:
    task = only({"train": write("a.jsonl", lines(range(10, 40))), "hold_out": 0.4})
    for side in (task.train, task.test):
        assert answers(side) == sorted(answers(side))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    numbers=st.lists(st.integers(0, 6), min_size=2, max_size=25),
    share=st.floats(0.05, 0.9),
    seed=st.integers(0, 5),
)
def test_twins_never_stand_on_both_sides_and_nothing_else_is_lost(
    write: Write, numbers: list[int], share: float, seed: int
) -> None:
    source = write("a.jsonl", lines(numbers))
    try:
        task = only({"train": source, "hold_out": share}, seed=seed)
    except DataError as error:
        if re.search("no test items|no rows to train on|none is left to train on", error.message):
            return
        raise
    train, test = answers(task.train), answers(task.test)
    assert not set(train) & set(test)
    assert sorted(train + test) == sorted(f"say {n}" for n in numbers)
    smallest, wanted = min(map(numbers.count, numbers)), round(len(numbers) * share)
    assert len(test) < 2 * wanted or len(test) == smallest


@pytest.mark.parametrize(
    ("rows", "share", "lacking", "mend"),
    [
        (4, 0.1, "test items", "raise"),
        (1, 0.5, "test items", "raise"),
        (2, 0.9, "rows to train on", "lower"),
        (40, 0.99, "rows to train on", "lower"),
    ],
)
def test_a_share_that_leaves_one_side_empty_is_refused(
    write: Write, rows: int, share: float, lacking: str, mend: str
) -> None:
    source = write("few.jsonl", lines(range(rows)))
    error = refusal({"train": source, "hold_out": share})
    assert error.message == (
        f"task 'few' has no {lacking} ({source}: {rows} training rows, {share:g} of them held out)"
    )
    assert error.fix == f"{mend} hold_out, or name a test source"


def test_rows_that_are_all_alike_are_refused(write: Write) -> None:
    error = refusal(write("same.jsonl", lines([1] * 10)))
    assert error.message == (
        "task 'same': every row is alike one that is held out, or of its group; none is left to "
        "train on"
    )


@pytest.mark.parametrize("seed", range(3))
def test_many_copies_of_a_row_do_not_take_the_place_of_test_items(write: Write, seed: int) -> None:
    source = write("a.jsonl", lines([0] * 30 + [*range(1, 71)]))
    task = only(source, seed=seed)
    assert (len(task.train), len(set(answers(task.test)))) == (90, 10)
    assert not task.warnings


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("sizes", "share", "held", "told"),
    [
        ((70, 80), 0.2, 70, ("70 of 150 rows are held out, where hold_out asks for 30",)),
        ((90, 3, 7), 0.1, 10, ()),
        ((30, 30), 0.9, 30, ()),
        ((98, 2), 0.1, 2, ("2 of 100 rows are held out, where hold_out asks for 10",)),
        ((50, 50), 0.1, 50, ("50 of 100 rows are held out, where hold_out asks for 10",)),
        ((40, 60), 0.1, 40, ("40 of 100 rows are held out, where hold_out asks for 10",)),
    ],
)
def test_a_group_that_leads_further_from_what_is_wanted_is_held_out_only_where_all_do(
    write: Write, seed: int, sizes: Sequence[int], share: float, held: int, told: Sequence[str]
) -> None:
    rows = [
        {"prompt": f"{group} {n}?", "completion": "a", "group": f"p{group}"}
        for group, size in enumerate(sizes)
        for n in range(size)
    ]
    file = write("p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    task = only({"train": file, "hold_out": share}, seed=seed)
    assert (len(task.test), len(task.train)) == (held, sum(sizes) - held)
    assert [warning.partition(": ")[0] for warning in task.warnings] == list(told)


@pytest.mark.parametrize("seed", range(4))
def test_a_share_that_leaves_hardly_a_row_to_one_side_is_told(write: Write, seed: int) -> None:
    rows = [{"prompt": f"{n}?", "completion": "a", "group": f"p{n // 99}"} for n in range(100)]
    file = write("p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    task = only({"train": file, "hold_out": 0.5}, seed=seed)
    (told,) = task.warnings
    assert len(task.test) in (1, 99)
    assert told.startswith(f"{len(task.test)} of 100 rows are held out, where hold_out asks for 50")


def test_groups_a_little_larger_than_what_is_wanted_are_held_out_beside_lone_rows(
    write: Write,
) -> None:
    rows = [{"prompt": f"{n}?", "completion": "a", "group": f"p{n // 55}"} for n in range(990)]
    rows += [{"prompt": f"alone {n}?", "completion": "a"} for n in range(10)]
    file = write("p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    lots = [only({"train": file, "hold_out": 0.05}, seed=seed).test for seed in range(6)]
    held = [Counter(row.group for row in test) for test in lots]
    assert all(55 <= len(test) <= 65 for test in lots)
    assert len({group for groups in held for group in groups if group}) > 1
    assert any(groups[""] < 10 for groups in held)


def test_a_row_without_a_twin_is_held_out_as_ever(write: Write) -> None:
    task = only({"name": "a", "train": write("a.jsonl", lines(range(20))), "hold_out": 0.2})
    assert answers(task.test) == ["say 2", "say 11", "say 13", "say 16"]


def test_a_row_alike_in_another_group_is_not_trained_on(write: Write) -> None:
    rows = [{"prompt": "?", "completion": "a", "group": f"p{n}"} for n in range(2)]
    rows += [{"prompt": f"{n}?", "completion": "a", "group": f"p{n % 2}"} for n in range(8)]
    file = write("p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    task = only({"train": file, "hold_out": 0.5})
    assert (len(task.test), len(task.train)) == (5, 4)


@pytest.mark.parametrize(
    ("shared", "told"),
    [
        (5, ()),
        (
            8,
            (
                "18 of 100 rows are left to train on, where hold_out asks for 90: 72 are alike "
                "rows that are held out, and of other groups",
            ),
        ),
    ],
)
def test_rows_that_end_on_neither_side_are_told_where_little_is_left_to_train_on(
    write: Write, shared: int, told: Sequence[str]
) -> None:
    rows = [
        {
            "prompt": f"{number}?" if number < shared else f"{group} {number}?",
            "completion": "a",
            "group": f"p{group}",
        }
        for group in range(10)
        for number in range(10)
    ]
    file = write("p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    task = only({"train": file, "hold_out": 0.1})
    assert (len(task.test), len(task.train)) == (10, 90 - 9 * shared)
    assert task.warnings == told


# Sources


def test_a_test_source_is_used_as_it_is(write: Write) -> None:
    task = only(
        {"train": write("a.jsonl", lines(range(3))), "test": write("t.jsonl", lines("xyz"))}
    )
    assert answers(task.train) == ["say 0", "say 1", "say 2"]
    assert answers(task.test) == ["say x", "say y", "say z"]


def test_a_task_that_is_only_tested_has_no_training_rows(write: Write) -> None:
    first, second = load(
        write("a.jsonl", lines(range(20))), test_only=[write("t.jsonl", lines("xyz"))]
    )
    assert (first.trained_in, second.trained_in) == (1, None)
    assert (len(second.train), answers(second.test)) == (0, ["say x", "say y", "say z"])


def test_questions_on_one_passage_are_held_out_together(write: Write) -> None:
    rows = [{"prompt": f"{n}?", "completion": "a", "group": f"p{n // 5}"} for n in range(40)]
    file = write("p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    task = only({"train": file, "hold_out": 0.25})
    held, kept = ({row.group for row in side} for side in (task.test, task.train))
    assert (len(held), len(task.test), len(task.train)) == (2, 10, 30)
    assert not held & kept
    assert set(task.groups.values()) == held


def test_a_task_that_is_only_tested_drops_what_it_does_not_hold_out(write: Write) -> None:
    held = {"train": write("t.jsonl", lines(range(20))), "hold_out": 0.25}
    _, task = load(write("a.jsonl", lines(range(20, 40))), test_only=[held])
    assert (len(task.train), len(task.test)) == (0, 5)


def test_tasks_come_in_the_order_in_which_they_are_trained(write: Write) -> None:
    tasks = load(*(write(f"{name}.jsonl", lines(range(20))) for name in "cab"))
    assert [(task.name, task.trained_in) for task in tasks] == [("c", 1), ("a", 2), ("b", 3)]


def test_limits_take_the_first_rows_of_each_side(write: Write) -> None:
    train, test = write("a.jsonl", lines(range(9))), write("t.jsonl", lines("xyz"))
    task = only({"train": train, "test": test, "train_limit": 2, "limit": 1})
    assert (answers(task.train), answers(task.test)) == (["say 0", "say 1"], ["say x"])


def test_limits_beyond_the_rows_there_are_change_nothing(write: Write) -> None:
    train, test = write("a.jsonl", lines(range(9))), write("t.jsonl", lines("xyz"))
    task = only({"train": train, "test": test, "train_limit": 99, "limit": 99})
    assert (len(task.train), len(task.test)) == (9, 3)


def test_the_limit_of_training_rows_does_not_change_the_test(write: Write) -> None:
    source = write("a.jsonl", lines(range(40)))
    assert answers(only(source).test) == answers(only({"train": source, "train_limit": 5}).test)


def test_two_test_items_of_one_id_are_refused(write: Write) -> None:
    test = write("t.jsonl", '{"id": 5, "text": "a"}\n{"id": "5", "text": "b"}\n')
    error = refusal({"name": "a", "train": write("a.jsonl", lines("x")), "test": test})
    assert error.message == (
        "task 'a': two test items have the id '5'; results are paired by id, so each needs its own"
    )
    assert error.fix == "correct the ids, or leave the id column out"


def test_a_malformed_training_row_is_found_before_anything_starts(write: Write) -> None:
    train = write("a.jsonl", lines(range(5)) + '{"prompt": "x"}\n')
    error = refusal({"train": train, "test": write("t.jsonl", lines("xyz"))})
    assert error.message == f"{train}:6: no 'completion' (found: prompt)"


def test_a_bundled_task_brings_its_test_its_settings_and_its_description() -> None:
    task = only("bundled:medical_shorthand")
    assert (len(task.train), len(task.test)) == (480, 200)
    assert (task.config.score, task.config.max_new_tokens) == ("exact_match", 32)
    assert task.description.startswith("a prescription sentence into clinical shorthand")


def test_the_plan_goes_before_the_settings_of_a_bundled_task() -> None:
    task = only({"train": "bundled:medical_shorthand", "score": "contains", "max_new_tokens": 9})
    assert (task.config.score, task.config.max_new_tokens) == ("contains", 9)


def test_a_setting_in_the_plan_goes_before_a_bundled_tasks_even_if_it_is_the_usual_one() -> None:
    assert only("bundled:medical_shorthand").config.max_new_tokens == 32
    task = only({"train": "bundled:medical_shorthand", "max_new_tokens": 64})
    assert task.config.max_new_tokens == 64


def test_a_bundled_task_may_be_tested_on_rows_of_the_user(write: Write) -> None:
    task = only({"train": "bundled:legal_prose", "test": write("t.jsonl", lines("xyz"))})
    assert answers(task.test) == ["say x", "say y", "say z"]


# Worked examples


def test_worked_examples_are_the_first_training_rows(write: Write) -> None:
    train, test = write("a.jsonl", lines(range(9))), write("t.jsonl", lines("xyz"))
    task = only({"train": train, "test": test, "shots": 2})
    assert answers(task.shots) == ["say 0", "say 1"]
    assert (len(task.train), len(task.test)) == (9, 3)


def test_a_training_row_that_is_also_a_test_item_is_no_worked_example(write: Write) -> None:
    train, test = write("a.jsonl", lines([1, 2, 3, 4])), write("t.jsonl", lines([2, 1, 9]))
    assert answers(only({"train": train, "test": test, "shots": 2}).shots) == ["say 3", "say 4"]


def test_without_training_rows_the_last_test_items_become_worked_examples(write: Write) -> None:
    test = {"test": write("t.jsonl", lines(range(6))), "shots": 2}
    _, task = load(write("a.jsonl", lines(range(20))), test_only=[test])
    assert answers(task.shots) == ["say 4", "say 5"]
    assert answers(task.test) == ["say 0", "say 1", "say 2", "say 3"]


def test_a_test_item_that_equals_a_worked_example_is_not_asked(write: Write) -> None:
    test = {"test": write("t.jsonl", lines([0, 5, 2, 4, 5])), "shots": 2}
    _, task = load(write("a.jsonl", lines(range(20, 40))), test_only=[test])
    assert answers(task.shots) == ["say 4", "say 5"]
    assert answers(task.test) == ["say 0", "say 2"]


def test_items_of_the_group_of_a_worked_example_are_not_asked(write: Write) -> None:
    rows = [{"prompt": f"{n}?", "completion": f"say {n}", "group": f"p{n // 3}"} for n in range(9)]
    file = write("p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    (task,) = load(write("a.jsonl", lines(range(9))), test_only=[{"test": file, "shots": 1}])[1:]
    assert answers(task.shots) == ["say 8"]
    assert answers(task.test) == [f"say {n}" for n in range(6)]


@pytest.mark.parametrize("shots", [3, 9])
def test_more_worked_examples_than_items_are_refused(write: Write, shots: int) -> None:
    test = {"test": write("t.jsonl", lines("xyz")), "shots": shots}
    error = refusal(write("a.jsonl", lines(range(20))), test_only=[test])
    assert error.message == (
        f"task 't': {shots} worked examples asked for, but of 3 test items to take them from none "
        "would be left"
    )


# Scorers


@pytest.mark.parametrize(
    ("rows", "score"),
    [
        ([{"question": "q", "choices": ["a", "b"], "answer": 0}], "multiple_choice"),
        ([{"text": "a text"}], "nll"),
        ([{"prompt": "q", "completion": "one two three four five"}], "exact_match"),
        ([{"prompt": "q", "completion": "one two three four five six"}], "token_f1"),
        ([{"prompt": "q", "completion": text} for text in ("a", "b", "long " * 9)], "exact_match"),
        ([{"prompt": "q", "completion": "long " * k} for k in (1, 1, 9, 9, 9)], "token_f1"),
    ],
)
def test_the_scorer_follows_from_the_items(
    write: Write, rows: list[dict[str, Any]], score: str
) -> None:
    test = write("t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert only({"train": write("a.jsonl", lines("x")), "test": test}).config.score == score


def test_items_with_rules_are_scored_by_them_where_auto_is_asked_for() -> None:
    config = TaskConfig(name="t", test="bundled:format", score="auto")
    assert load_task(config, 0).config.score == "rules"


def test_multiple_choice_without_choices_is_refused(write: Write) -> None:
    error = refusal({"train": write("a.jsonl", lines(range(20))), "score": "multiple_choice"})
    assert error.message == "task 'a': score is multiple_choice, but its items have no choices"
    assert error.fix == "choose exact_match, contains, token_f1 or nll"


def test_rules_for_items_that_have_none_are_refused(write: Write) -> None:
    error = refusal({"train": write("a.jsonl", lines(range(20))), "score": "rules"})
    assert error.message == "task 'a': score is rules, but it has items that no rule checks"
    assert error.fix == "choose exact_match, contains, token_f1 or nll"


def test_plain_text_can_only_be_scored_by_likelihood(write: Write) -> None:
    text = write("a.jsonl", "".join(f'{{"text": "t {n}"}}\n' for n in range(20)))
    error = refusal({"train": text, "score": "contains"})
    assert error.message == "task 'a': score is contains, but plain text asks nothing"
    assert error.fix == "score: nll"


@pytest.mark.parametrize(("score", "unit"), [("nll", "nats"), ("contains", "accuracy")])
def test_likelihoods_are_in_nats_and_the_rest_is_accuracy(
    write: Write, score: str, unit: str
) -> None:
    assert only({"train": write("a.jsonl", lines(range(20))), "score": score}).unit == unit


# Overlap


def test_test_items_that_occur_in_training_are_counted_and_warned_of(write: Write) -> None:
    train, test = write("a.jsonl", lines([1, 2, 3])), write("t.jsonl", lines([2, 3, 4, 5]))
    (warning,) = only({"train": train, "test": test}).warnings
    assert warning == (
        "2 of 4 test items also occur in training: its score shows memory, not skill"
    )


def test_overlap_is_found_across_tasks(write: Write) -> None:
    tasks = load(
        {"train": write("a.jsonl", lines([1, 2])), "test": write("t.jsonl", lines([8, 9]))},
        test_only=[write("g.jsonl", lines([2, 7]))],
    )
    assert [len(task.warnings) for task in tasks] == [0, 1]
    assert tasks[1].warnings[0].startswith("1 of 2 test items also occur")


def test_overlap_ignores_case_and_spacing_but_not_the_answer(write: Write) -> None:
    train = write("a.jsonl", '{"prompt": "Ask  ME?", "completion": "Yes"}\n')
    test = write(
        "t.jsonl",
        '{"prompt": " ask me?", "completion": "yes"}\n{"prompt": "ask me?", "completion": "no"}\n',
    )
    assert only({"train": train, "test": test}).warnings[0].startswith("1 of 2")


def test_a_clean_split_warns_of_nothing(write: Write) -> None:
    assert only(write("a.jsonl", lines(range(20)))).warnings == ()


def test_question_and_answer_are_told_apart_in_the_hash() -> None:
    one = Row("0", (Turn("user", "ab"),), "c")
    other = Row("0", (Turn("user", "a"),), "bc")
    assert exchange_hash(one) != exchange_hash(other)


# Memory


def test_a_task_of_memory_asks_every_row_that_it_teaches(write: Write) -> None:
    source = write("a.jsonl", lines(range(20)))
    task = only({"train": source, "memory": True, "train_limit": 3})
    assert answers(task.train) == answers(task.test) == ["say 0", "say 1", "say 2"]


def test_rehearsal_of_what_a_test_asks_is_told(write: Write) -> None:
    (warning,) = only({"train": write("a.jsonl", lines(range(20))), "memory": True}).warnings
    assert warning == (
        "20 of 20 test items also occur in training: its score shows memory, not skill, and "
        "rehearsal may draw them, as  memory  allows"
    )


def test_a_test_of_memory_is_not_held_back_where_it_asks_what_its_task_taught(
    write: Write,
) -> None:
    train, test = write("a.jsonl", lines([1, 2, 3])), write("t.jsonl", lines([2, 3, 4]))
    task = only({"train": train, "test": test})
    assert held_back([task]) == {*map(exchange_hash, task.test)}
    task = only({"train": train, "test": test, "memory": True})
    assert held_back([task]) == {exchange_hash(task.test[2])}


def test_what_another_task_tests_is_held_back_whatever_a_task_of_memory_taught(
    write: Write,
) -> None:
    tasks = load(
        {"train": write("a.jsonl", lines([1, 2])), "memory": True},
        test_only=[write("t.jsonl", lines([2]))],
    )
    assert held_back(tasks) == {exchange_hash(tasks[0].train[1])}


def test_a_memory_of_what_is_not_taught_is_refused(write: Write) -> None:
    train, test = write("a.jsonl", lines([1, 2])), write("t.jsonl", lines([8, 9]))
    assert refusal({"train": train, "test": test, "memory": True}).message == (
        "task 'a': memory says that its test asks taught rows, but none of its 2 test items is "
        "among its training rows"
    )


# Hashes of a task


def test_the_hash_of_training_rows_follows_content_order_and_ids(write: Write) -> None:
    test = write("t.jsonl", lines("xyz"))

    def digest(content: str) -> str:
        return only({"name": "a", "train": write("a.jsonl", content), "test": test}).train_hash()

    rows = ['{"id": 1, "text": "one"}\n', '{"id": 2, "text": "two"}\n']
    usual = digest("".join(rows))
    assert digest("".join(rows)) == usual
    assert digest("".join(rows[::-1])) != usual
    assert digest("".join(rows).replace("two", "tow")) != usual
    assert digest("".join(rows).replace('"id": 2', '"id": 3')) != usual


def test_the_hash_of_test_items_counts_worked_examples_in(write: Write) -> None:
    train, test = write("a.jsonl", lines(range(9))), write("t.jsonl", lines("xyz"))
    plain = only({"train": train, "test": test})
    shown = only({"train": train, "test": test, "shots": 1})
    assert plain.test_hash() != shown.test_hash()
    assert plain.train_hash() == shown.train_hash()


# Rendering


@pytest.mark.parametrize(
    ("render", "template", "style"),
    [
        ("auto", True, "chat"),
        ("auto", False, "plain"),
        ("plain", True, "plain"),
        ("chat", True, "chat"),
    ],
)
def test_questions_are_rendered_as_chat_where_the_model_has_a_template(
    write: Write, render: str, template: bool, style: str
) -> None:
    task = only({"train": write("a.jsonl", lines(range(20))), "render": render})
    assert task.style(build_tokenizer(template)) == style


def test_plain_text_is_never_rendered_as_chat(write: Write) -> None:
    text = write("a.jsonl", "".join(f'{{"text": "t {n}"}}\n' for n in range(20)))
    assert only(text).style(build_tokenizer()) == "plain"


def test_chat_without_a_template_is_refused(write: Write) -> None:
    task = only({"train": write("a.jsonl", lines(range(20))), "render": "chat"})
    with pytest.raises(ModelError) as caught:
        task.renderer(build_tokenizer(chat=False))
    assert caught.value.message == (
        "the tokenizer: has no chat template, but rows are to be rendered as chat"
    )
    assert caught.value.fix == (
        "use an instruction-tuned model, or set  render: plain  for the task"
    )


def test_a_chat_of_several_exchanges_without_a_template_is_refused(write: Write) -> None:
    roles = ("user", "assistant", "user", "assistant")
    chat = {"messages": [{"role": role, "content": role} for role in roles]}
    test = write("t.jsonl", json.dumps(chat) + "\n")
    task = only({"train": write("a.jsonl", lines("x")), "test": test})
    with pytest.raises(ModelError) as caught:
        task.renderer(build_tokenizer(chat=False))
    assert caught.value.message == (
        "the tokenizer: has no chat template, but item '0' of task 'a' is a chat of 4 messages"
    )
    assert task.renderer(build_tokenizer()).style == "chat"

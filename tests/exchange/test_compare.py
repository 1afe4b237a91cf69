"""Two results are comparable, or refused with the difference named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetless.errors import DataError
from forgetless.exchange.compare import compare_conditions
from forgetless.exchange.reading import read_results
from tests.exchange.build import (
    DATA,
    change_json,
    change_lines,
    choice_sample,
    genuine,
    only,
    write_run,
)

LM_EVAL, INSPECT = DATA / "lm_eval", DATA / "inspect"


def compare(before: Path, after: Path) -> Any:
    return compare_conditions(read_results(before), read_results(after))


def test_two_runs_of_the_same_tasks_share_all_their_items() -> None:
    colours, words = compare(LM_EVAL / "before", LM_EVAL / "after")
    assert (len(colours.items), colours.only_before, colours.only_after) == (16, 0, 0)
    assert (len(words.items), words.only_before, words.only_after) == (8, 0, 0)


def test_items_of_one_run_alone_are_left_out_and_counted() -> None:
    colours, words = compare(LM_EVAL / "before", LM_EVAL / "limited")
    assert (len(colours.items), colours.only_before, colours.only_after) == (5, 11, 0)
    assert (len(words.items), words.only_before, words.only_after) == (5, 3, 0)


def test_another_number_of_worked_examples_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="'toy_colours': worked examples: 0 before, 2 after"):
        compare(LM_EVAL / "before", LM_EVAL / "shots")


HEADER_CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "version": (
        lambda found: found["versions"].update(toy_words=3.0),
        "'toy_words': task version: 2.0 before, 3.0 after",
    ),
    "template": (
        lambda found: found.update(chat_template_sha="ab" * 32),
        "chat template: none before, abababababab after",
    ),
    "system": (
        lambda found: found.update(system_instruction_sha="cd" * 32),
        "system instruction: none before, cdcdcdcdcdcd after",
    ),
    "generation": (
        lambda found: found["config"].update(gen_kwargs={"temperature": 1}),
        "generation settings of the run: null before",
    ),
    "setting": (
        lambda found: found["configs"]["toy_colours"].update(doc_to_text="Q: {{question}}"),
        "task setting doc_to_text: ",
    ),
}


@pytest.mark.parametrize("change", HEADER_CHANGES)
def test_a_run_with_other_settings_is_refused_by_name(tmp_path: Path, change: str) -> None:
    folder = genuine("after", tmp_path / "run")
    made, told = HEADER_CHANGES[change]
    change_json(only(folder, "results_*"), made)
    with pytest.raises(DataError, match=told):
        compare(LM_EVAL / "before", folder)


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("prompt_hash", "the prompts differ in 16 of 16"),
        ("target_hash", "the targets differ in 16"),
    ],
)
def test_other_prompts_or_targets_are_refused(tmp_path: Path, field: str, told: str) -> None:
    folder = genuine("after", tmp_path / "run")
    change_lines(only(folder, "samples_toy_colours_*"), lambda line: line.update({field: "other"}))
    with pytest.raises(DataError, match=told):
        compare(LM_EVAL / "before", folder)


def test_other_choices_behind_the_same_prompt_are_refused(tmp_path: Path) -> None:
    folder = genuine("after", tmp_path / "run")
    change_lines(
        only(folder, "samples_toy_colours_*"),
        lambda line: line["arguments"]["gen_args_0"].update(arg_1=" other"),
    )
    with pytest.raises(DataError, match="choices or generation settings differ in 16"):
        compare(LM_EVAL / "before", folder)


def test_other_items_altogether_are_refused(tmp_path: Path) -> None:
    folder = genuine("after", tmp_path / "run")
    for file in folder.rglob("samples_*"):
        change_lines(file, lambda line: line.update(doc_hash="0" + line["doc_hash"]))
    with pytest.raises(DataError, match="none of them is in both"):
        compare(LM_EVAL / "before", folder)


def test_another_metric_is_refused(tmp_path: Path) -> None:
    before = read_results(LM_EVAL / "before")
    after = read_results(LM_EVAL / "after", {"toy_colours": "acc_norm"})
    with pytest.raises(DataError, match="metric: acc before, acc_norm after"):
        compare_conditions(before, after)


def test_results_of_two_tools_are_refused() -> None:
    with pytest.raises(DataError, match="written by lm_eval, the other by inspect"):
        compare(LM_EVAL / "before", INSPECT / "after.eval")


def test_the_model_path_in_the_metadata_is_no_difference(tmp_path: Path) -> None:
    folder = genuine("after", tmp_path / "run")
    change_json(
        only(folder, "results_*"),
        lambda found: found["configs"]["toy_words"]["metadata"].update(pretrained="somewhere"),
    )
    assert len(compare(LM_EVAL / "before", folder)) == 2


def test_results_without_a_common_task_are_refused_naming_the_tasks_of_each(tmp_path: Path) -> None:
    for name in ("spring", "autumn"):
        write_run(tmp_path / name, [choice_sample(1, [-1, -2], 0)], task=name)
    with pytest.raises(
        DataError, match="no task in common; before: spring; after: autumn"
    ) as refused:
        compare(tmp_path / "spring", tmp_path / "autumn")
    assert refused.value.fix == "evaluate both models on the same tasks"

"""``forgetless init``: a plan for data files that says what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from forgetless.errors import DataError
from forgetless.plan import TaskConfig, TrainingConfig, load_plan
from forgetless.plan_writer import SHOWN_TRAINING, write_plan
from tests.tiny import colours, write_rows


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two tasks and one that is only tested, entered."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "a.jsonl", colours(0, 20))
    write_rows(tmp_path / "b.jsonl", colours(1, 20))
    choices = [{"question": f"q{i}", "choices": ["a", "b"], "answer": 0} for i in range(3)]
    write_rows(tmp_path / "t.jsonl", choices)
    return tmp_path


def written_text(model: str, tasks: list[str], test_only: list[str], folder: Path) -> str:
    return write_plan(model, tasks, test_only, folder).text


def test_the_plan_written_is_the_plan_read(data: Path) -> None:
    (data / "plan.yaml").write_text(written_text("m", ["a.jsonl", "b.jsonl"], ["t.jsonl"], data))
    plan = load_plan(data / "plan.yaml")
    assert [task.name for task in plan.tasks] == ["a", "b", "t"]
    assert [task.train for task in plan.sequence] == [str(data / f"{name}.jsonl") for name in "ab"]
    assert [task.test for task in plan.test_only] == [str(data / "t.jsonl")]
    assert [task.score for task in plan.tasks] == ["exact_match", "exact_match", "multiple_choice"]
    assert [(spec.name, spec.options) for spec in plan.methods] == [("auto", {})]
    assert plan.training == TrainingConfig()
    assert plan.output == str(data / "runs" / "first")


def test_every_line_of_settings_is_explained_in_the_words_of_the_plan(data: Path) -> None:
    text = written_text("m", ["a.jsonl"], [], data)
    for name in SHOWN_TRAINING:
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {name}:")]
        assert line.endswith(f"# {TrainingConfig.model_fields[name].description}")


def test_the_rows_found_are_told(data: Path) -> None:
    assert "# 18 rows to train, 2 held out; or  test: FILE" in written_text(
        "m", ["a.jsonl"], [], data
    )


def test_items_that_are_few_are_told(data: Path) -> None:
    # 1 - 0.025^(1/2) = 0.842 and 1 - 0.025^(1/3) = 0.708
    assert write_plan("m", ["a.jsonl"], ["t.jsonl"], data).warnings == (
        "task 'a': few test items: figures rest on 2; a loss of 84 points cannot be ruled out even "
        "where no answer changes; raise hold_out, or name a test",
        "task 't': few test items: figures rest on 3; a loss of 71 points cannot be ruled out even "
        "where no answer changes; add items to its test",
    )


def test_what_holding_out_means_is_said_where_rows_are_held_out(data: Path) -> None:
    told = "# what is held out is never taught"
    assert written_text("m", ["a.jsonl", "b.jsonl"], [], data).count(told) == 1
    assert told not in written_text("m", ["bundled:medical_shorthand"], [], data)


def test_paths_are_written_relative_to_the_folder_of_the_plan(data: Path) -> None:
    (data / "model").mkdir()
    (data / "plans").mkdir()
    written = yaml.safe_load(written_text("model", ["a.jsonl"], ["t.jsonl"], data / "plans"))
    assert written["model"] == "../model"
    assert written["sequence"][0]["train"] == "../a.jsonl"
    assert written["test_only"][0]["test"] == "../t.jsonl"


def test_a_model_folder_that_is_there_is_not_taken_for_a_hub_name(data: Path) -> None:
    (data / "models" / "mine").mkdir(parents=True)
    written = yaml.safe_load(written_text("mine", ["a.jsonl"], [], data / "models"))
    assert written["model"] == "mine"
    written = yaml.safe_load(written_text("models/mine", ["a.jsonl"], [], data / "models"))
    assert written["model"] == "./mine"


@pytest.mark.parametrize(
    "model", ["bundled:smollm2-135m-instruct", "org/name", "gpt2", "no", "1e3", "null", ".inf"]
)
def test_a_model_name_is_written_so_that_yaml_reads_it_as_it_is(data: Path, model: str) -> None:
    assert yaml.safe_load(written_text(model, ["a.jsonl"], [], data))["model"] == model


@pytest.mark.parametrize("name", ["no", "2024-01", "a b", "#1", "😀", "ö: x", "-x", "y'z", 'q"r'])
def test_a_file_of_any_name_is_written_so_that_yaml_reads_it_as_it_is(
    data: Path, name: str
) -> None:
    write_rows(data / f"{name}.jsonl", colours(0, 20))
    (data / "plan.yaml").write_text(
        written_text("m", [f"{name}.jsonl"], [], data), encoding="utf-8"
    )
    assert load_plan(data / "plan.yaml").sequence[0].train == str(data / f"{name}.jsonl")


def test_a_bundled_task_keeps_its_own_settings(data: Path) -> None:
    text = written_text("m", ["bundled:medical_shorthand"], ["bundled:general_knowledge"], data)
    written = yaml.safe_load(text)
    (trained,), (tested,) = written["sequence"], written["test_only"]
    assert trained["train"] == "bundled:medical_shorthand"
    assert (trained["score"], trained["max_new_tokens"]) == ("exact_match", 32)
    assert "hold_out" not in trained
    assert (tested["score"], tested["render"]) == ("multiple_choice", "plain")


def test_without_test_only_data_the_plan_has_no_such_key(data: Path) -> None:
    assert "test_only" not in yaml.safe_load(written_text("m", ["a.jsonl"], [], data))


def test_data_that_cannot_be_used_writes_no_plan(data: Path) -> None:
    (data / "bad.jsonl").write_text('{"prompt": "x"}\n')
    with pytest.raises(DataError, match=r"bad\.jsonl: found the columns prompt; needed"):
        written_text("m", ["bad.jsonl"], [], data)


def test_the_scorers_offered_are_all_that_data_can_have(data: Path) -> None:
    from typing import get_args

    annotation = TaskConfig.model_fields["score"].annotation
    text = written_text("m", ["a.jsonl"], [], data)
    for scorer in set(get_args(annotation)) - {"auto", "rules"}:  # only suites come with rules
        assert scorer in text

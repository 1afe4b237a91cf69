"""What is written in lm-evaluation-harness's layout is read by our reader and by its own."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from forgetless.errors import DataError
from forgetless.evaluation.result import ItemResult
from forgetless.exchange.compare import compare_conditions
from forgetless.exchange.lm_eval_export import AnsweredTask, export_lm_eval
from forgetless.exchange.reading import is_results_folder, read_results
from forgetless.plan.task import Scorer
from tests.exchange.build import DATA, only

DATE = datetime(2026, 1, 2, 3, 4, 5, 678901)


def choice(number: int, score: float | None, acc: float = 0.0) -> ItemResult:
    return ItemResult(
        task="colours",
        item=f"c{number}",
        prompt=f"Question {number}?",
        gold="red",
        choices=("red", "blue"),
        output="red" if score else "blue",
        answer="red" if score else "blue",
        score=score,
        correct=None if score is None else score == 1.0,
        readings={} if score is None else {"acc": acc, "acc_norm": score, "nll": 0.5},
        error="no answer" if score is None else None,
    )


def free(number: int, score: float) -> ItemResult:
    readings = {"exact_match": score, "contains": 1.0, "token_f1": 0.5}
    return ItemResult(
        "words", f"w{number}", f"Word {number}?", "ja", None, "Ja!", "ja", score, True, readings
    )


def tasks(**more: Any) -> Sequence[AnsweredTask]:
    return [
        AnsweredTask("colours", "multiple_choice", [choice(0, 1.0), choice(1, 0.0, 1.0)], **more),
        AnsweredTask("words", "exact_match", [free(0, 1.0), free(1, 0.0), free(2, 1.0)], **more),
    ]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    export_lm_eval(tmp_path, "me/model", tasks(), DATE)
    assert is_results_folder(tmp_path)
    found = read_results(tmp_path)
    assert found.model == "me/model"
    for written, read in zip(tasks(), found.tasks, strict=True):
        assert (read.name, read.scorer, read.warnings) == (written.name, written.scorer, ())
        for mine, other in zip(written.items, read.items, strict=True):
            assert (other.prompt, other.gold, other.choices) == (
                mine.prompt,
                mine.gold,
                mine.choices,
            )
            assert (other.output, other.answer, other.score) == (
                mine.output,
                mine.answer,
                mine.score,
            )
            assert dict(other.readings) == dict(mine.readings)


def test_the_files_are_named_as_lm_eval_names_them(tmp_path: Path) -> None:
    export_lm_eval(tmp_path, "me/model", tasks(), DATE)
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.json*")) == [
        "me__model/results_2026-01-02T03-04-05.678901.json",
        "me__model/samples_colours_2026-01-02T03-04-05.678901.jsonl",
        "me__model/samples_words_2026-01-02T03-04-05.678901.jsonl",
    ]


def test_samples_have_the_fields_that_lm_eval_writes(tmp_path: Path) -> None:
    export_lm_eval(tmp_path, "model", tasks(), DATE)
    for mine, genuine in (("colours", "toy_colours"), ("words", "toy_words")):
        ours = json.loads(only(tmp_path, f"samples_{mine}_*").read_text().splitlines()[0])
        file = only(DATA / "lm_eval" / "before", f"samples_{genuine}_*")
        theirs = json.loads(file.read_text().splitlines()[0])
        assert set(theirs) - set(theirs["metrics"]) == set(ours) - set(ours["metrics"])
        assert {k: type(v) for k, v in theirs.items() if k in ours} == {
            k: type(v) for k, v in ours.items() if k in theirs
        }


def test_the_hashes_are_those_of_lm_eval(tmp_path: Path) -> None:
    utils = pytest.importorskip("lm_eval.utils", reason="needs the extra lm-eval")
    file = export_lm_eval(tmp_path, "model", tasks(), DATE)
    samples = [
        json.loads(line)
        for line in only(tmp_path, "samples_words_*").read_text().split("\n")
        if line
    ]
    for sample in samples:
        document = json.dumps(sample["doc"], indent=2, ensure_ascii=False)
        assert sample["doc_hash"] == utils.hash_string(document)
        assert sample["prompt_hash"] == utils.hash_string(
            sample["arguments"]["gen_args_0"]["arg_0"]
        )
        assert sample["target_hash"] == utils.hash_string(str(sample["target"]))
    whole = "".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in samples)
    assert json.loads(file.read_text())["task_hashes"]["words"] == utils.hash_string(whole)


def test_lm_eval_draws_its_table_from_the_file_and_knows_its_name(tmp_path: Path) -> None:
    utils = pytest.importorskip("lm_eval.utils", reason="needs the extra lm-eval")
    file = export_lm_eval(tmp_path, "model", tasks(), DATE)
    table = utils.make_table(json.loads(file.read_text()))
    assert "|colours|" in table.replace(" ", "")
    # two right of three, in three digits or four: that depends on the version of what draws it
    assert re.search(r"\b0\.66(7|67)\b", table)
    name = only(tmp_path, "samples_words_*").name
    assert utils.get_file_task_name(name) == "words"
    assert utils.get_file_datetime(name) == "2026-01-02T03-04-05.678901"


def test_means_and_standard_errors_are_right(tmp_path: Path) -> None:
    found = json.loads(export_lm_eval(tmp_path, "model", tasks(), DATE).read_text())
    figures = found["results"]["words"]
    assert figures["exact_match,none"] == pytest.approx(2 / 3)
    assert figures["exact_match_stderr,none"] == pytest.approx(1 / 3)  # sqrt((2/3) / 2 / 3)


@pytest.mark.parametrize("scores", [(None, 1.0), (None, None)])
def test_an_item_without_a_score_is_written_with_its_error_and_in_no_figure(
    scores: Sequence[float | None], tmp_path: Path
) -> None:
    items = [choice(number, score) for number, score in enumerate(scores)]
    task = AnsweredTask("colours", "multiple_choice", items)
    found = json.loads(export_lm_eval(tmp_path, "model", [task], DATE).read_text())
    assert found["n-samples"]["colours"] == {"original": 2, "effective": 2}
    assert found["results"]["colours"].get("acc_norm,none") == scores[1]
    (read,) = read_results(tmp_path).tasks
    assert [(one.score, one.error) for one in read.items] == [(i.score, i.error) for i in items]
    assert read.warnings == ()


def test_groups_and_levels_are_read_again(tmp_path: Path) -> None:
    items = [replace(free(n, 1.0), group="p" if n < 2 else "") for n in range(3)]
    levels = {"w1": "level1", "w2": "level2"}
    export_lm_eval(tmp_path, "model", [AnsweredTask("t", "exact_match", items, levels=levels)])
    (read,) = read_results(tmp_path).tasks
    keys = [one.item for one in read.items]
    assert read.groups == dict.fromkeys(keys[:2], "p")
    assert read.levels == {keys[1]: "level1", keys[2]: "level2"}


@pytest.mark.parametrize("scorer", [*get_args(Scorer)[1:], "judge"])
def test_a_task_of_every_scorer_is_read_again(tmp_path: Path, scorer: str) -> None:
    nats = scorer == "nll"
    choices = ("ja", "nein") if scorer == "multiple_choice" else None
    item = ItemResult("t", "a", "Yes?", "ja", choices, "ja", "ja", -1.5 if nats else 0.5)
    export_lm_eval(tmp_path, "model", [AnsweredTask("t", scorer, [item])])
    (task,) = read_results(tmp_path).tasks
    assert task.unit == ("nats" if nats else "accuracy")
    assert [one.score for one in task.items] == [item.score]


def test_half_of_a_surrogate_pair_in_an_answer_is_written_and_read_again(tmp_path: Path) -> None:
    item = ItemResult("t", "a", "Yes?", "ja", None, "ja\ud800", "ja", 1.0)
    export_lm_eval(tmp_path, "model", [AnsweredTask("t", "contains", [item])])
    assert read_results(tmp_path).tasks[0].items[0].output == item.output


def test_exports_under_other_conditions_are_not_compared(tmp_path: Path) -> None:
    for name, template in (("a", "one"), ("b", "two")):
        export_lm_eval(tmp_path / name, "model", tasks(conditions={"template": template}), DATE)
    with pytest.raises(DataError, match="template: one before, two after"):
        compare_conditions(read_results(tmp_path / "a"), read_results(tmp_path / "b"))


def test_two_tasks_of_one_file_name_are_refused(tmp_path: Path) -> None:
    both = [AnsweredTask(name, "multiple_choice", [choice(0, 1.0)]) for name in ("a:b", "a/b")]
    with pytest.raises(DataError, match="same file"):
        export_lm_eval(tmp_path, "model", both)

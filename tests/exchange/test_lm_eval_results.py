"""What lm-evaluation-harness wrote is read, or refused with the place of the fault."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from forgetless.auditing.audit import audit
from forgetless.errors import DataError
from forgetless.exchange.imported import Imported
from forgetless.exchange.lm_eval_results import read_lm_eval
from tests.exchange.build import (
    DATA,
    change_json,
    change_lines,
    choice_sample,
    genuine,
    only,
    write_run,
)


@pytest.fixture(scope="module")
def before() -> Imported:
    return read_lm_eval(DATA / "lm_eval" / "before")


def test_the_mean_scores_are_those_that_lm_eval_reports(before: Imported) -> None:
    reported = json.loads(only(DATA / "lm_eval" / "before", "results_*.json").read_text())
    keys = {
        "toy_colours": {"acc": "acc,none", "acc_norm": "acc_norm,none"},
        "toy_words": {
            "exact_match": "exact_match,strict-match",
            "lenient": "exact_match,flexible-extract",
        },
    }
    for task, readings in keys.items():
        items = before.task(task).items
        for reading, key in readings.items():
            mean = sum(item.readings[reading] for item in items) / len(items)
            assert mean == reported["results"][task][key]


def test_group_tasks_keep_their_names(before: Imported) -> None:
    assert [task.name for task in before.tasks] == ["toy_colours", "toy_words"]


def test_a_choice_is_named_with_the_likelihood_of_the_right_one(before: Imported) -> None:
    item = before.task("toy_colours").items[0]
    assert item.choices == ("red", "a rather dark blue", "green")
    assert (item.gold, item.output, item.score, item.correct) == ("red", "green", 0.0, False)
    assert item.readings == {"acc": 0.0, "acc_norm": 0.0, "nll": 6.14267110824585}


def test_the_strict_filter_counts_and_the_flexible_one_is_the_lenient_reading(
    before: Imported,
) -> None:
    task = before.task("toy_words")
    assert [item.score for item in task.items] == [0.0] * 8
    assert [item.readings["lenient"] for item in task.items] == [1.0] * 4 + [0.0] * 4
    assert task.readings == ("exact_match", "lenient")
    assert task.scorer == "exact_match"


def test_items_that_ask_the_same_are_a_group(tmp_path: Path) -> None:
    same = {"prompt_hash": "p", "target_hash": "t", "arguments": {"gen_args_0": {"arg_0": "?"}}}
    samples = [choice_sample(n, [-1, -2], 0, **(same if n < 2 else {})) for n in range(3)]
    (task,) = read_lm_eval(write_run(tmp_path, samples)).tasks
    first, second, third = (task.groups.get(item.item) for item in task.items)
    assert first == second is not None
    assert third is None


def test_items_of_which_nobody_says_what_was_asked_are_no_group(tmp_path: Path) -> None:
    silent = {"prompt_hash": "", "target_hash": "", "arguments": []}
    samples = [choice_sample(n, [-1, -2], 0, **silent) for n in range(3)]
    (task,) = read_lm_eval(write_run(tmp_path, samples)).tasks
    assert task.groups == {}


def test_the_model_and_the_versions_are_told(before: Imported) -> None:
    assert before.model == "base"
    assert before.versions["lm_eval"] == "0.4.13"
    assert before.date.startswith("20")


def test_the_model_folder_and_the_folder_around_it_are_the_same(before: Imported) -> None:
    assert read_lm_eval(DATA / "lm_eval" / "before" / "base").identity == before.identity


def test_the_newest_run_is_taken_and_said_so(tmp_path: Path) -> None:
    write_run(tmp_path, [choice_sample(1, [-1, -2], 0)], date="2026-01-01T00-00-00.5")
    write_run(tmp_path, [choice_sample(1, [-2, -1], 0)], date="2026-01-01T00-00-01")
    found = read_lm_eval(tmp_path)
    assert found.tasks[0].items[0].score == 0.0
    assert found.notes == ("toy: 2 runs found, the newest was taken (2026-01-01T00-00-01)",)


def test_the_right_choice_is_found_by_its_text_where_the_target_is_one(tmp_path: Path) -> None:
    sample = choice_sample(1, [-3.0, -1.0], "one", acc=0.0)
    item = read_lm_eval(write_run(tmp_path, [sample])).tasks[0].items[0]
    assert (item.gold, item.readings["nll"]) == ("one", 3.0)


def test_no_likelihood_is_given_where_the_right_choice_is_in_doubt(tmp_path: Path) -> None:
    sample = choice_sample(1, [-3.0, -1.0], 0, acc=1.0)  # acc says that the other one is right
    item = read_lm_eval(write_run(tmp_path, [sample])).tasks[0].items[0]
    assert item.score == 1.0
    assert "nll" not in item.readings


def test_no_likelihood_is_given_where_a_target_names_one_choice_by_number_another_by_text(
    tmp_path: Path,
) -> None:
    sample = choice_sample(1, [-9.0, -9.0, -1.0], 1, acc=0.0)  # choice 1, which is the text 2
    for number, request in enumerate(sample["arguments"].values()):
        request["arg_1"] = f" {number + 1}"
    item = read_lm_eval(write_run(tmp_path, [sample])).tasks[0].items[0]
    assert (item.gold, item.readings) == ("1", {"acc": 0.0})


def test_what_a_tasks_own_metadata_call_conditions_is_no_condition(tmp_path: Path) -> None:
    conditions = {"metadata": {"conditions": "any"}}
    task = read_lm_eval(write_run(tmp_path, [choice_sample(1, [-1, -2], 0)], config=conditions))
    assert "any" not in task.tasks[0].conditions.parts.values()


def test_a_likelihood_that_is_not_a_number_is_an_error_and_no_score(tmp_path: Path) -> None:
    samples = [choice_sample(1, [-1.0, -2.0], 0), choice_sample(2, [-1.0, -2.0], 0, acc=1.0)]
    samples[1]["filtered_resps"][0][0] = "nan"
    good, bad = read_lm_eval(write_run(tmp_path, samples)).tasks[0].items
    assert (good.score, good.error) == (1.0, None)
    assert (bad.score, bad.error) == (None, "the model's likelihood is not a number")


def test_items_of_the_same_content_are_told_apart(tmp_path: Path) -> None:
    samples = [choice_sample(n, [-1.0, -n], 0, doc_hash="ab" * 32) for n in (4, 0)]
    found = read_lm_eval(write_run(tmp_path, samples)).tasks[0]
    assert [item.item for item in found.items] == ["abababababababab", "abababababababab#2"]
    assert [item.score for item in found.items] == [0.0, 1.0]  # in the order of the data set


def test_an_older_version_without_hashes_and_names_is_read_alike(tmp_path: Path) -> None:
    folder = genuine("before", tmp_path / "old")
    names = ("doc_hash", "prompt_hash", "target_hash", "metrics")
    for file in folder.rglob("samples_*.jsonl"):
        change_lines(
            file,
            lambda line: (
                [line.pop(name) for name in names]
                and line.update(arguments=[list(a.values()) for a in line["arguments"].values()])
            ),
        )
    old, new = read_lm_eval(folder), read_lm_eval(DATA / "lm_eval" / "before")
    assert [task.prints for task in old.tasks] == [task.prints for task in new.tasks]
    assert [task.items for task in old.tasks] == [task.items for task in new.tasks]


def test_metrics_over_whole_tasks_and_unknown_ones_are_named(tmp_path: Path) -> None:
    more = {"metrics": ["acc", "f1", "bleurt"], "f1": [0, 1], "bleurt": 0.5}
    run = write_run(tmp_path, [choice_sample(1, [-1, -2], 0, **more)])
    assert read_lm_eval(run).tasks[0].warnings == (
        "metric f1 is not read: it is computed over the whole task, not item by item",
        "metric bleurt is not read: an unknown metric",
    )


def test_an_unknown_metric_counts_where_it_is_asked_for(tmp_path: Path) -> None:
    more = {"metrics": ["acc", "mine"], "mine": 0.5}
    run = write_run(tmp_path, [choice_sample(1, [-1, -2], 0, **more)])
    assert read_lm_eval(run, {"toy": "mine"}).tasks[0].items[0].score == 0.5


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"metrics": ["wer"], "wer": 0.5}, "wer: lower is better"),
        ({"metrics": ["acc"], "acc": 3.0}, "acc: found 3, needed values in"),
        ({"metrics": ["rouge"], "rouge": 0.5}, "rouge: an unknown metric"),
    ],
)
def test_a_folder_without_a_usable_metric_is_refused_with_the_reason(
    tmp_path: Path, values: dict[str, object], reason: str
) -> None:
    run = write_run(
        tmp_path,
        [choice_sample(1, [-1, -2], 0, **values)],
        higher_is_better={"toy": {"wer": False}},
    )
    with pytest.raises(DataError, match=reason):
        read_lm_eval(run)


def test_a_task_without_samples_is_left_out_with_the_reason(tmp_path: Path) -> None:
    folder = genuine("before", tmp_path / "run")
    only(folder, "samples_toy_words_*").unlink()
    assert read_lm_eval(folder).left_out == {
        "toy_words": "its samples were not logged (--log_samples)"
    }


def test_a_folder_without_any_samples_is_refused(tmp_path: Path) -> None:
    folder = genuine("before", tmp_path / "run")
    for file in folder.rglob("samples_*"):
        file.unlink()
    with pytest.raises(DataError, match="--log_samples"):
        read_lm_eval(folder)


def test_results_of_two_models_are_refused(tmp_path: Path) -> None:
    genuine("before", tmp_path / "run")
    genuine("after", tmp_path / "other")
    (tmp_path / "other" / "tuned").rename(tmp_path / "run" / "tuned")
    with pytest.raises(DataError, match="results of 2 models: base, tuned"):
        read_lm_eval(tmp_path / "run")


def test_a_torn_line_is_refused_with_file_and_line(tmp_path: Path) -> None:
    folder = genuine("before", tmp_path / "run")
    file = only(folder, "samples_toy_colours_*")
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"samples_toy_colours_.*\.jsonl:16: not valid JSON"):
        read_lm_eval(folder)


def test_lines_that_are_missing_are_noticed(tmp_path: Path) -> None:
    folder = genuine("before", tmp_path / "run")
    file = only(folder, "samples_toy_colours_*")
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-2]))
    with pytest.raises(DataError, match=r"14 lines, but results_.* speaks of 16 items"):
        read_lm_eval(folder)


def test_a_torn_results_file_is_refused_with_file_and_line(tmp_path: Path) -> None:
    folder = genuine("before", tmp_path / "run")
    file = only(folder, "results_*")
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(DataError, match=r"results_.*\.json:\d+: not valid JSON"):
        read_lm_eval(folder)


def test_an_item_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path, [choice_sample(3, [-1, -2], 0)] * 2)
    with pytest.raises(DataError, match=r"jsonl:2: item 3 stands in .*jsonl:1 already"):
        read_lm_eval(run)


def test_samples_without_their_results_are_refused(tmp_path: Path) -> None:
    folder = genuine("before", tmp_path / "run")
    only(folder, "results_*").unlink()
    with pytest.raises(DataError, match=r"there is no results_.*\.json beside it"):
        read_lm_eval(folder)


def test_addresses_of_functions_are_no_difference(tmp_path: Path) -> None:
    runs = [genuine("before", tmp_path / name) for name in ("one", "two")]
    for address, run in zip(("0x7f01", "0x7e99"), runs, strict=True):
        setting = {"process_docs": f"<function f at {address}>"}
        file = only(run, "results_*")
        change_json(file, lambda found, to=setting: found["configs"]["toy_words"].update(to))  # type: ignore[misc]
    one, two = (read_lm_eval(run).task("toy_words").conditions for run in runs)
    assert one.differences(two) == []


def test_a_file_that_the_disk_does_not_give_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path, [choice_sample(1, [-1, -2], 0)])

    def broken(self: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", broken)
    with pytest.raises(DataError, match=r"\.json: cannot be read: Input/output error"):
        read_lm_eval(run)


def test_a_metric_for_a_task_that_is_not_there_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path, [choice_sample(1, [-1, -2], 0)])
    with pytest.raises(DataError, match="no task 'toi'; there are toy"):
        read_lm_eval(run, {"toi": "acc"})


@pytest.mark.parametrize(
    ("wanted", "why"),
    [("f1", "not there; there are acc, wer"), ("wer", "lower is better")],
)
def test_a_metric_that_cannot_count_is_refused_with_the_reason(
    tmp_path: Path, wanted: str, why: str
) -> None:
    sample = choice_sample(1, [-1, -2], 0, metrics=["acc", "wer"], wer=0.5)
    run = write_run(tmp_path, [sample], higher_is_better={"toy": {"wer": False}})
    with pytest.raises(DataError, match=f"the metric {wanted}: {why}"):
        read_lm_eval(run, {"toy": wanted})


def test_a_folder_without_results_is_refused_saying_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no results_\*\.json") as refused:
        read_lm_eval(tmp_path)
    assert refused.value.fix == "name an output folder of lm_eval"


def test_results_of_two_models_in_one_folder_are_refused_by_name(tmp_path: Path) -> None:
    for day, model in (("01", "base"), ("02", "tuned")):
        write_run(
            tmp_path, [choice_sample(1, [-1, -2], 0)],
            task=f"toy{day}", date=f"2026-01-{day}T00-00-00", model_name=model,
        )  # fmt: skip
    told = r"base \(results_2026-01-01T.*\), tuned \(results_2026-01-02T.*\); needed those of one"
    with pytest.raises(DataError, match=told) as refused:
        read_lm_eval(tmp_path)
    assert refused.value.fix == "move the files of each model to a folder of its own"


def test_tasks_of_several_runs_are_taken_together_and_said_so(tmp_path: Path) -> None:
    for day in ("01", "02"):
        write_run(
            tmp_path, [choice_sample(1, [-1, -2], 0)],
            task=f"toy{day}", date=f"2026-01-{day}T00-00-00",
        )  # fmt: skip
    found = read_lm_eval(tmp_path)
    assert [task.name for task in found.tasks] == ["toy01", "toy02"]
    assert found.notes == (
        "the tasks come from 2 runs, from 2026-01-01T00-00-00 to 2026-01-02T00-00-00",
    )


def test_an_item_that_one_filter_lacks_is_refused(tmp_path: Path) -> None:
    samples = [choice_sample(n, [-1, -2], 0, filter=f) for n, f in ((1, "a"), (2, "a"), (1, "b"))]
    uncounted: dict[str, Any] = {"n-samples": {}}
    run = write_run(tmp_path, samples, **uncounted)
    with pytest.raises(DataError, match=r"jsonl:2: the item is missing under the filter 'b'"):
        read_lm_eval(run)


def test_the_loose_reading_of_instructions_is_the_lenient_one(tmp_path: Path) -> None:
    strict, loose = "prompt_level_strict_acc", "prompt_level_loose_acc"
    sample = choice_sample(1, [-1, -2], 0, metrics=[strict, loose], **{strict: 0.0, loose: 1.0})
    item = read_lm_eval(write_run(tmp_path, [sample])).tasks[0].items[0]
    assert item.score == 0.0
    assert item.readings == {strict: 0.0, "lenient": 1.0}


def test_a_loss_under_the_strict_filter_alone_is_one_of_form(tmp_path: Path) -> None:
    strict, flexible = "strict-match", "flexible-extract"
    for side, right in (("before", 1.0), ("after", 0.0)):
        samples = [
            choice_sample(n, [-1], 0, filter=kind, metrics=["exact_match"], exact_match=score)
            for n in range(40)
            for kind, score in ((strict, right), (flexible, 1.0))
        ]
        write_run(tmp_path / side, samples, config={"output_type": "generate_until"})
    (verdict,) = audit(tmp_path / "before", tmp_path / "after").comparisons[0].verdicts
    assert (verdict.verdict, verdict.nature) == ("lost", "format")


def test_two_generated_texts_are_no_likelihoods(tmp_path: Path) -> None:
    sample = choice_sample(1, [-1], "Rome", filtered_resps=[["Rome", "Roma"]], resps=[["Rome"]])
    item = read_lm_eval(write_run(tmp_path, [sample])).tasks[0].items[0]
    assert (item.output, item.answer) == ("Rome", "Rome")
    assert "nll" not in item.readings


def test_choices_that_are_also_asked_without_the_question_are_offered_once(tmp_path: Path) -> None:
    sample = choice_sample(1, [-3.0, -1.0], 1, acc_mutual_info=0.0)
    for number in (0, 1):
        word = sample["arguments"][f"gen_args_{number}"]["arg_1"]
        sample["arguments"][f"gen_args_{number + 2}"] = {"arg_0": "", "arg_1": word}
        sample["filtered_resps"].append(["-0.5", "False"])
    item = read_lm_eval(write_run(tmp_path, [sample])).tasks[0].items[0]
    assert (item.choices, item.gold, item.output) == (("one", "three"), "three", "three")
    assert item.readings["nll"] == 1.0


@pytest.mark.parametrize("value", [float("nan"), pytest.param(10**400, id="of 400 digits")])
def test_a_metric_that_is_not_a_number_is_an_error_and_no_score(
    tmp_path: Path, value: float
) -> None:
    samples = [choice_sample(1, [-1, -2], 0), choice_sample(2, [-1, -2], 0, acc=value)]
    good, bad = read_lm_eval(write_run(tmp_path, samples)).tasks[0].items
    assert (good.score, good.error) == (1.0, None)
    assert (bad.score, bad.error) == (None, "acc is not a number")


def test_the_likelihood_of_a_word_to_guess_is_a_reading(tmp_path: Path) -> None:
    sample = choice_sample(1, [-2.5], "one", acc=1.0)
    run = write_run(tmp_path, [sample], config={"output_type": "loglikelihood"})
    item = read_lm_eval(run).tasks[0].items[0]
    assert (item.choices, item.gold, item.output) == (None, "one", None)
    assert item.readings == {"acc": 1.0, "nll": 2.5}

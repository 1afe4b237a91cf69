"""Tasks of lm-evaluation-harness asked by us, against lm-evaluation-harness asking by itself."""

from __future__ import annotations

import importlib.metadata
import random
import warnings
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest

from forgetless.errors import DataError, UsageError
from forgetless.evaluation.result import ItemResult
from forgetless.exchange.lm_eval_results import read_lm_eval
from forgetless.exchange.lm_eval_tasks import answer_lm_eval_task, load_lm_eval_tasks
from forgetless.models.load import LoadedModel
from tests.exchange.build import DATA
from tests.exchange.make_lm_eval_fixtures import TASKS, save_models
from tests.models.test_padding import bart
from tests.tiny import build_tokenizer
from tests.training.build import load

pytest.importorskip("lm_eval", reason="needs the extra lm-eval")
pytestmark = pytest.mark.filterwarnings("default")  # lm_eval's imports warn; nothing of ours


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_models(folder)
    return folder


@pytest.fixture(scope="module")
def base(models: Path) -> LoadedModel:
    return load(models / "base")


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the toy tasks, whose data are named relative to the current folder."""
    (tmp_path / "tasks").symlink_to(TASKS)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "tasks"


def more_task(include: Path, name: str, **changes: Any) -> Path:
    """The colours task changed, in a folder of its own."""
    import yaml

    folder = include.parent / f"{name}-tasks"
    folder.mkdir()
    config = yaml.safe_load((include / "toy_colours.yaml").read_text())
    config |= {"task": name, **changes}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    return folder


def figures(items: tuple[ItemResult, ...]) -> list[dict[str, float]]:
    return [{k: round(v, 3) for k, v in item.readings.items()} for item in items]


@pytest.mark.parametrize(("run", "name"), [("before", "base"), ("after", "tuned")])
def test_every_item_scores_as_lm_eval_scored_it_with_its_own_model(
    models: Path, include: Path, run: str, name: str
) -> None:
    ours = answer_lm_eval_task(load(models / name), "lm_eval:toy", include_path=include)
    theirs = read_lm_eval(DATA / "lm_eval" / run).tasks
    assert [task.name for task in ours] == [task.name for task in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert [item.item for item in mine.items] == [item.item for item in other.items]
        assert [item.output for item in mine.items] == [item.output for item in other.items]
        assert [item.prompt for item in mine.items] == [item.prompt for item in other.items]
        assert figures(mine.items) == figures(other.items)
        assert mine.prints == other.prints
        assert mine.conditions.differences(other.conditions) == []


def test_worked_examples_are_those_of_lm_eval_for_every_model_in_turn(
    models: Path, include: Path
) -> None:
    tasks = load_lm_eval_tasks("toy_colours", include, shots=2)
    tuned = load(models / "tuned")
    theirs = read_lm_eval(DATA / "lm_eval" / "shots").task("toy_colours")
    for _ in range(2):
        (mine,) = answer_lm_eval_task(tuned, tasks)
        assert mine.prints == theirs.prints
        assert figures(mine.items) == figures(theirs.items)


def test_a_limit_asks_the_first_items(base: LoadedModel, include: Path) -> None:
    (task,) = answer_lm_eval_task(base, "toy_colours", 5, include_path=include)
    assert len(task.items) == 5


@pytest.mark.parametrize("gold", [0, 1])
def test_greedy_answers_are_told_from_others_as_hflm_tells_them(
    base: LoadedModel, models: Path, include: Path, gold: int
) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    offered = {"doc_to_choice": ["\x17", "\x17\x17", " red"], "doc_to_target": gold}
    folder = more_task(
        include,
        "greedy",
        **offered,
        target_delimiter="",
        metric_list=[{"metric": "acc"}, {"metric": "exact_match"}],
    )
    (task,) = answer_lm_eval_task(base, "greedy", include_path=folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = simple_evaluate(
            model=HFLM(pretrained=str(models / "base"), device="cpu", dtype="float32"),
            tasks=["greedy"],
            task_manager=TaskManager(include_path=str(folder), include_defaults=False),
            bootstrap_iters=0,
        )["samples"]["greedy"]
    mine = [item.readings["exact_match"] for item in task.items]
    assert mine == [float(sample["exact_match"]) for sample in theirs]
    assert 1.0 in mine
    assert gold == 0 or 0.0 in mine


def test_a_chat_template_is_put_around_the_prompts_as_lm_eval_does_it(
    tiny_model: Path, include: Path
) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    (task,) = answer_lm_eval_task(load(tiny_model), "toy_colours", include_path=include, chat=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = simple_evaluate(
            model=HFLM(pretrained=str(tiny_model), device="cpu", dtype="float32"),
            tasks=["toy_colours"],
            task_manager=TaskManager(include_path=str(include), include_defaults=False),
            apply_chat_template=True,
            bootstrap_iters=0,
        )["samples"]["toy_colours"]
    assert [item.prompt for item in task.items] == [one["arguments"][0][0] for one in theirs]
    assert task.items[0].prompt.startswith("<|user|>")
    assert [item.score for item in task.items] == [one["acc"] for one in theirs]
    assert task.conditions.parts["chat template"] != "None"


def test_a_prompt_longer_than_the_context_is_an_error_and_no_score(
    base: LoadedModel, include: Path
) -> None:
    asked = "{{question * (90 if question == 'What colour is grass?' else 1)}}"
    folder = more_task(include, "long", doc_to_text=asked)
    (task,) = answer_lm_eval_task(base, "long", include_path=folder)
    bad = [item for item in task.items if item.error]
    assert [len(item.prompt) > 256 for item in task.items] == [
        item.error is not None for item in task.items
    ]
    assert len(bad) == 1
    assert bad[0].score is None
    assert "more than the model's context of 256" in str(bad[0].error)


@pytest.mark.parametrize(
    "among_all", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["own", "all"]
)
def test_an_unknown_name_is_refused_with_the_nearest(
    include: Path, monkeypatch: pytest.MonkeyPatch, *, among_all: bool
) -> None:
    """The 13,000 that come with lm_eval take it half a minute to read."""
    if not among_all:
        from lm_eval.tasks import TaskManager

        own = partialmethod(TaskManager.__init__, include_defaults=False)
        monkeypatch.setattr(TaskManager, "__init__", own)
    with pytest.raises(DataError, match="no task 'toy_colors'; the nearest are toy_colours"):
        load_lm_eval_tasks("lm_eval:toy_colors", include)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"output_type": "loglikelihood_rolling"}, "has no right answers"),
        ({"unsafe_code": True}, "runs programs that the model writes"),
        ({"repeats": 3}, "wants 3 answers"),
        ({"doc_to_image": "picture"}, "it shows pictures"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(
    include: Path, changes: dict[str, Any], told: str
) -> None:
    folder = more_task(include, "odd", **changes)
    with pytest.raises(DataError, match=told):
        load_lm_eval_tasks("odd", folder)


def test_answers_drawn_at_random_are_refused(base: LoadedModel, include: Path) -> None:
    drawn = {"do_sample": True, "temperature": 1.0}
    folder = words_task(include, "drawn", generation_kwargs=drawn)
    with pytest.raises(DataError, match="'drawn' draws its answers at random"):
        answer_lm_eval_task(base, "drawn", include_path=folder)


def test_data_that_are_not_there_are_refused_with_the_reason(include: Path) -> None:
    folder = more_task(include, "gone", dataset_kwargs={"data_files": {"test": "gone.jsonl"}})
    with pytest.raises(DataError, match="'gone' cannot be loaded: FileNotFoundError"):
        load_lm_eval_tasks("gone", folder)


def test_global_generators_are_left_as_they_were(base: LoadedModel, include: Path) -> None:
    random.seed(5)
    expected = random.Random(5).random()
    answer_lm_eval_task(base, "toy_colours", 2, include_path=include)
    assert random.random() == expected


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(UsageError, match=r"forgetless\[lm-eval\]"):
        load_lm_eval_tasks("arc_easy")


def test_an_old_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", {"lm_eval": "0.4.3"}.__getitem__)
    with pytest.raises(UsageError, match=r"0\.4\.3 is too old, needed 0\.4\.13"):
        load_lm_eval_tasks("arc_easy")


def test_nothing_is_printed(
    base: LoadedModel, include: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    answer_lm_eval_task(base, "toy", 2, include_path=include)
    assert capfd.readouterr() == ("", "")


def test_a_task_that_names_a_number_of_examples_is_given_the_one_wanted(include: Path) -> None:
    folder = more_task(include, "shown", num_fewshot=1)
    for wanted, given in ((None, 1), (2, 2)):
        (task,) = load_lm_eval_tasks("shown", folder, wanted).tasks["tasks"].values()
        assert task.get_config("num_fewshot") == given


def test_a_metric_that_a_task_does_not_have_is_refused_by_name(
    base: LoadedModel, include: Path
) -> None:
    with pytest.raises(
        DataError,
        match="lm_eval task 'toy_colours': the metric f1: not there; there are acc, acc_norm",
    ):
        answer_lm_eval_task(
            base, "toy_colours", 2, metrics={"toy_colours": "f1"}, include_path=include
        )


def test_an_answer_without_a_token_is_an_error_and_no_score(
    base: LoadedModel, include: Path
) -> None:
    offered = "{{['' if 'grass' in question else 'blue', 'red']}}"
    folder = more_task(
        include, "empty", doc_to_choice=offered, doc_to_target=1, target_delimiter=""
    )
    (task,) = answer_lm_eval_task(base, "empty", 3, include_path=folder)
    assert [item.error for item in task.items] == [None, "an answer has no token to score", None]
    assert task.items[1].score is None


def words_task(include: Path, name: str, **changes: Any) -> Path:
    """The words task changed, in a folder of its own."""
    import yaml

    folder = include.parent / f"{name}-tasks"
    folder.mkdir()
    config = yaml.safe_load((include / "toy_words.yaml").read_text())
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config | {"task": name, **changes}))
    return folder


def test_a_question_that_leaves_no_room_for_its_answer_is_an_error_and_no_score(
    base: LoadedModel, include: Path
) -> None:
    asked = "{{question * (90 if 'grass' in question else 1)}}"
    folder = words_task(include, "long", doc_to_text=asked)
    (task,) = answer_lm_eval_task(base, "long", 3, include_path=folder)
    assert [item.score is None for item in task.items] == [False, True, False]
    assert "more than the model's context of 256" in str(task.items[1].error)


@pytest.mark.parametrize("name", ["toy_words", "toy_colours"])
def test_company_changes_nothing_where_a_model_reads_padding(name: str, include: Path) -> None:
    model = LoadedModel(bart(), build_tokenizer())
    alone, together = (
        answer_lm_eval_task(model, name, 4, include_path=include, batch_size=size)[0].items
        for size in (1, 16)
    )
    assert [item.error for item in together] == [None] * 4
    assert [item.output for item in together] == [item.output for item in alone]
    assert figures(together) == figures(alone)


def test_an_answer_of_a_broken_model_is_an_error_and_no_score(models: Path, include: Path) -> None:
    import torch

    broken = load(models / "base")
    with torch.no_grad():
        next(broken.model.parameters()).fill_(float("nan"))
    (task,) = answer_lm_eval_task(broken, "toy_words", 2, include_path=include)
    assert [(item.score, item.error) for item in task.items] == [
        (None, "the model's likelihood is not a number")
    ] * 2

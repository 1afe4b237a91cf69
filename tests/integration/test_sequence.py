"""A whole run on a tiny model: what it leaves, what it shares, what it refuses."""

from __future__ import annotations

import errno
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import forgetless
from forgetless.errors import (
    DataError,
    ModelError,
    PlanError,
    RunFailed,
    RunFolderError,
    TrainingFailed,
    UsageError,
)
from forgetless.models.source import file_hash
from forgetless.plan import make_plan
from forgetless.progress import Progress
from forgetless.runfolder import open_run
from forgetless.sequence import run_sequence
from forgetless.tasks.examples import Encoder
from tests.faults.experiment import contents
from tests.integration.conftest import MakePlan, settings
from tests.tiny import write_rows
from tests.training.build import keep_tables


class Recorder(Progress):
    def __init__(self) -> None:
        self.trained_stages: list[str] = []
        self.notes: list[str] = []
        self._stage = ""

    def stage(self, run: str, name: str, number: int, last: int) -> None:
        self._stage = name

    def trained(self, step: int, steps: int, loss: float) -> None:
        if self._stage not in self.trained_stages:
            self.trained_stages.append(self._stage)

    def note(self, text: str) -> None:
        self.notes.append(text)


nightly = partial(pytest.param, marks=pytest.mark.slow)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_row_0_is_measured_and_every_task_after_every_stage(plan: MakePlan) -> None:
    result = run_sequence(plan(ask=["Who are you?"]))
    matrix = result.matrix
    assert matrix.stages == ("0-base", "1-first", "2-second")
    assert [task.name for task in matrix.tasks] == ["first", "second", "choices"]
    assert all(value is not None for row in matrix.values for value in row)
    for stage in matrix.stages:
        scores = lines(result.path / "stages" / stage / "scores.jsonl")
        expected = ["first"] * 4 + ["second"] * 4 + ["choices"] * 6
        assert [line["task"] for line in scores] == expected
        answers = lines(result.path / "stages" / stage / "answers.jsonl")
        assert [answer["question"] for answer in answers] == ["Who are you?"]


def test_a_model_that_keeps_what_it_made_once_is_trained_after_it_was_scored(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_tables(monkeypatch)
    result = run_sequence(plan(training={"batch_size": 1, "epochs": 1}))
    assert result.matrix.stages == ("0-base", "1-first", "2-second")


def test_keyword_arguments_make_a_plan_and_a_result(data: Path, tmp_path: Path) -> None:
    result = forgetless.run(**settings(data, tmp_path / "run"))
    assert set(result.forgetting) == {"first", "second", "choices"}
    assert result.model_path().parts[-2:] == ("2-second", "model")
    assert result.model_path(1).parts[-2:] == ("1-first", "model")
    assert result.model_path(-2) == result.model_path(1)
    for none in (0, 3, -3):
        with pytest.raises(UsageError, match=f"no model of stage {none}") as caught:
            result.model_path(none)
        assert caught.value.fix == "its trained stages: 1, 2"
    with pytest.raises(PlanError, match="not both"):
        forgetless.run(make_plan({"model": "m", "sequence": ["a.jsonl"]}), model="other")


def test_train_jsonl_says_which_rows_of_which_task_were_learned_and_replayed(
    plan: MakePlan,
) -> None:
    result = run_sequence(plan(methods=["lora", {"replay": {"ratio": 0.3}}]))
    assert result.results.label == "replay + lora"
    learned = lines(result.path / "stages" / "2-second" / "train.jsonl")
    new = [line["row"] for line in learned if not line["replayed"]]
    old = [line for line in learned if line["replayed"]]
    assert sorted(new) == sorted([str(i) for i in range(12)] * 2)
    assert {line["task"] for line in old} == {"first"}
    assert {line["row"] for line in old} <= {str(i) for i in range(4, 12)}  # 0 to 3 are test items
    training = json.loads((result.path / "manifest.json").read_text())["stages"][2]["training"]
    assert training["tokens"] == sum(line["tokens"] for line in learned)
    assert training["replayed_tokens"] == sum(line["tokens"] for line in old)
    assert training["replay_share"] == pytest.approx(0.3, abs=0.05)


def test_the_saved_plan_continues_the_run_from_anywhere(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = forgetless.run(**settings(data, Path("here/run")))
    monkeypatch.chdir(data)
    watcher = Recorder()
    again = run_sequence(forgetless.load_plan(result.path / "plan.yaml"), watcher)
    assert watcher.trained_stages == []
    assert again.path.samefile(tmp_path / "here" / "run")


def test_saved_models_load_without_forgetless(plan: MakePlan, data: Path) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    whole = run_sequence(plan("whole")).model_path()
    adapter = run_sequence(plan("adapter", methods=["lora"])).model_path()
    base = AutoModelForCausalLM.from_pretrained(data / "model")
    ids = torch.arange(8).unsqueeze(0)
    for folder, loader in ((whole, AutoModelForCausalLM), (adapter, AutoPeftModelForCausalLM)):
        model = loader.from_pretrained(folder)
        assert AutoTokenizer.from_pretrained(folder).chat_template
        assert not torch.equal(model(input_ids=ids).logits, base(input_ids=ids).logits)


def test_a_protected_run_takes_the_stages_that_are_the_same_from_the_plain_one(
    plan: MakePlan,
) -> None:
    plain = run_sequence(plan("plain"))
    watcher = Recorder()
    protected = run_sequence(
        plan("protected", methods=["replay"]), watcher, share_with=[plain.path]
    )
    assert watcher.trained_stages == ["2-second"]
    taken = [note for note in watcher.notes if not note.startswith("warning: ")]
    assert taken == [
        "0-base: the same work as in plain, taken from there",
        "1-first: the same work as in plain, taken from there",
    ]
    alone = run_sequence(plan("alone", methods=["replay"]))
    for stage in ("1-first", "2-second"):
        weights = [
            file_hash(run.path / "stages" / stage / "model" / "model.safetensors")
            for run in (protected, alone)
        ]
        assert weights[0] == weights[1]
    assert protected.matrix.values == alone.matrix.values
    shared = [stage.shared_from for stage in protected.results.stages]
    assert shared == ["plain", "plain", None]


@pytest.mark.parametrize(
    ("methods", "taken"),
    [
        ([{"ewc": {"strength": 10}}], ["0-base", "1-first"]),
        ([{"ewc": {"strength": 10}}, "lora"], ["0-base", "1-first"]),
        # a finished stage does not show what it trained
        nightly([{"ewc": {"strength": 10}}, {"freeze": {"last": 1}}], ["0-base"]),
        nightly([{"ewc": {"strength": 10}}, "osf"], ["0-base"]),
        nightly([{"ewc": {"strength": 10}}, "ogd"], ["0-base"]),
        ([{"si": {"strength": 10}}], ["0-base"]),  # learns while it trains
        # the untouched model is seen in the first stage only
        nightly([{"l2sp": {"anchor": "base"}}], ["0-base"]),
        ([{"kl": {"reference": "base"}}, {"lora": {"init": "orthogonal"}}], ["0-base"]),
        ([{"merge": {"how": "ties"}}], ["0-base"]),
    ],
    ids=["ewc", "ewc+lora", "ewc+freeze", "ewc+osf", "ewc+ogd", "si", "l2sp", "kl+lora", "merge"],
)
def test_a_method_that_learns_from_its_stages_ends_the_same_whether_they_are_shared_or_not(
    methods: list[Any], taken: list[str], plan: MakePlan
) -> None:
    one = run_sequence(plan("one", sequence=plan().sequence[:1], methods=methods))
    alone = run_sequence(plan("alone", methods=methods))
    watcher = Recorder()
    shared = run_sequence(plan("shared", methods=methods), watcher, share_with=[one.path])
    left, expected = (
        {
            str(file.relative_to(run.path)): file_hash(file)
            for file in (run.path / "stages").rglob("*.safetensors")
        }
        for run in (shared, alone)
    )
    assert left == expected
    assert [note.split(":")[0] for note in watcher.notes if "taken from" in note] == taken


def test_a_stages_rows_are_tokenised_once_also_where_a_method_learns_from_them_in_the_end(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenised: list[str] = []
    encode = Encoder.encode

    def watched(self: Encoder, rows: Any, **more: Any) -> Any:
        tokenised.append(rows[0][0].name)
        return encode(self, rows, **more)

    monkeypatch.setattr(Encoder, "encode", watched)
    run_sequence(plan(methods=["ewc"]))
    assert tokenised == ["first", "second"]


def test_other_settings_share_nothing(plan: MakePlan) -> None:
    plain = run_sequence(plan("plain"))
    watcher = Recorder()
    other = plan("other", training={"learning_rate": 1e-3})
    run_sequence(other, watcher, share_with=[plain.path])
    assert watcher.trained_stages == ["1-first", "2-second"]


def test_the_folder_of_another_plan_is_refused_with_the_difference(plan: MakePlan) -> None:
    run_sequence(plan())
    with pytest.raises(RunFolderError, match="holds results of another plan") as refused:
        run_sequence(plan(training={"learning_rate": 1e-3}))
    assert "training.learning_rate is 0.003 there and 0.001 here" in refused.value.message
    assert "--set output=" in str(refused.value)


def test_a_plan_that_failed_before_its_first_stage_can_be_corrected(plan: MakePlan) -> None:
    with pytest.raises(ModelError, match="mistyped: no such folder or file here"):
        run_sequence(plan(model="mistyped"))
    result = run_sequence(plan(ask=["Who?"]))
    assert result.results.state == "finished"
    saved = forgetless.load_plan(result.path / "plan.yaml")
    assert (saved.model.name, saved.ask) == (plan().model.name, ("Who?",))


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    wanted = plan(training={"device": "cuda"})
    with pytest.raises(ModelError, match="device 'cuda': torch finds none"):
        run_sequence(wanted)
    assert not Path(wanted.output).exists()


def test_a_folder_with_other_things_in_it_is_refused(plan: MakePlan) -> None:
    wanted = plan()
    folder = Path(wanted.output)
    folder.mkdir()
    (folder / "thesis.tex").write_text("irreplaceable")
    with pytest.raises(RunFolderError, match=r"not a run folder, it holds 'thesis\.tex'"):
        run_sequence(wanted)
    assert [file.name for file in folder.iterdir() if not file.name.startswith(".")] == [
        "thesis.tex"
    ]


def test_a_folder_in_use_is_refused_and_the_holder_named(plan: MakePlan, tmp_path: Path) -> None:
    wanted = plan()
    facts = {"label": "", "model": {}, "tasks": []}
    with open_run(Path(wanted.output), wanted, facts), pytest.raises(RunFolderError) as refused:
        run_sequence(wanted)
    assert f"in use by process {os.getpid()} on " in refused.value.message


def test_going_on_over_changed_data_is_refused(plan: MakePlan, data: Path, tmp_path: Path) -> None:
    rows = [{"prompt": f"{i}?", "completion": "yes"} for i in range(8)]
    file = write_rows(tmp_path / "own.jsonl", rows)
    wanted = plan(sequence=[{"train": str(file), "test": str(file)}])
    run_sequence(wanted)
    write_rows(file, [row | {"completion": "no"} for row in rows])
    with pytest.raises(RunFailed, match="trained on other data"):
        run_sequence(wanted)


def test_changed_data_of_a_later_stage_is_refused_before_an_earlier_one_is_touched(
    plan: MakePlan, tmp_path: Path
) -> None:
    rows = [{"prompt": f"{i}?", "completion": "yes"} for i in range(8)]
    own = write_rows(tmp_path / "own.jsonl", rows)
    wanted = plan(sequence=[plan().sequence[0], {"train": str(own), "test": str(own)}])
    finished = run_sequence(wanted)
    before = contents(finished.path)
    write_rows(own, [*rows, {"prompt": "8?", "completion": "no"}])
    with pytest.raises(RunFailed, match="stage 2-own was trained on other data"):
        run_sequence(wanted)
    assert contents(finished.path) == before


def test_a_matrix_that_was_deleted_is_written_again_by_a_finished_run(plan: MakePlan) -> None:
    finished = run_sequence(plan())
    before = contents(finished.path)
    (finished.path / "matrix.json").unlink()
    run_sequence(plan())
    assert contents(finished.path) == before


def test_changed_test_items_are_scored_again_without_training(
    plan: MakePlan, tmp_path: Path
) -> None:
    rows = [{"prompt": f"{i}?", "completion": "yes"} for i in range(8)]
    train, test = (write_rows(tmp_path / f"{n}.jsonl", rows) for n in ("train", "test"))
    wanted = plan(sequence=[{"name": "own", "train": str(train), "test": str(test)}])
    run_sequence(wanted)
    write_rows(test, rows[:4])
    watcher = Recorder()
    result = run_sequence(wanted, watcher)
    assert watcher.trained_stages == []
    own = [
        line for line in lines(result.path / "stages/1-own/scores.jsonl") if line["task"] == "own"
    ]
    assert len(own) == 4


def test_weights_that_were_tampered_with_are_not_trained_on(plan: MakePlan) -> None:
    wanted = plan()

    class Stop(Recorder):
        def stage(self, run: str, name: str, number: int, last: int) -> None:
            if number == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sequence(wanted, Stop())
    weights = Path(wanted.output) / "stages/1-first/model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(RunFolderError, match=r"model\.safetensors: not the file that was written"):
        run_sequence(wanted)


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_stages_before(plan: MakePlan) -> None:
    wild = plan(training={"learning_rate": 1e30, "max_grad_norm": 0, "warmup": 0})
    with pytest.raises(TrainingFailed, match=r"became (nan|inf) at step") as failed:
        run_sequence(wild)
    assert "lower the learning rate" in str(failed.value)
    assert failed.value.exit_code == 1
    manifest = json.loads((Path(wild.output) / "manifest.json").read_text(encoding="utf-8"))
    assert [stage["name"] for stage in manifest["stages"]] == ["0-base"]
    assert manifest["state"] == "running"


def test_a_full_disk_is_said_and_nothing_finished_is_lost(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, filled = plan("whole"), plan("filled")
    expected = run_sequence(whole)
    flush = os.fsync
    calls = 0

    def full(descriptor: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 25:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFailed, match="the disk is full; everything finished before is kept"):
        run_sequence(filled)
    monkeypatch.undo()
    result = run_sequence(filled)
    assert result.matrix.values == expected.matrix.values
    assert file_hash(result.model_path() / "model.safetensors") == file_hash(
        expected.model_path() / "model.safetensors"
    )


def out_of_memory(*arguments: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_memory_that_ends_while_training_names_a_smaller_batch_with_the_same_steps(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forgetless.training.trainer.StageTrainer.training_step", out_of_memory)
    fixes = []
    for number, training in enumerate(
        (
            {"batch_size": 6, "accumulation": 2},
            {"batch_size": 1},
            {"batch_size": 1, "gradient_checkpointing": True},
        )
    ):
        with pytest.raises(RunFailed, match="1-first: out of memory while training") as failed:
            run_sequence(plan(str(number), training=training))
        fixes.append(failed.value.fix)
    assert fixes == [
        "--set training.batch_size=3 --set training.accumulation=4 --set output=runs/other",
        "--set training.gradient_checkpointing=true --set output=runs/other",
        None,
    ]


@pytest.mark.parametrize(
    ("part", "error", "stage"),
    [
        ("models.load.load_model", torch.OutOfMemoryError("CUDA out of memory. Tried"), "0-base"),
        ("training.schedule.build_schedule", MemoryError(), "1-first"),
        ("methods.compose.Compose.end_stage",
         RuntimeError("CUDA error: out of memory\nCUDA kernel errors"), "1-first"),
    ],
)  # fmt: skip
def test_memory_that_ends_in_any_other_part_of_a_stage_is_told_with_the_stage(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch, part: str, error: Exception, stage: str
) -> None:
    def ended(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(f"forgetless.{part}", ended)
    with pytest.raises(RunFailed, match=f"^{stage}: out of memory; everything finished before"):
        run_sequence(plan(methods=["ewc"]))


def test_a_fault_of_ours_is_not_taken_for_a_want_of_memory(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: Any, **__: Any) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("forgetless.training.schedule.build_schedule", wrong)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        run_sequence(plan())


def test_memory_that_ends_while_scoring_costs_no_training(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_sequence(plan("whole", training={"scoring_batch_size": 3}))

    class SmallMemory(Recorder):
        def scored(self, task: str, done: int, total: int) -> None:
            if self.trained_stages and done:
                out_of_memory()

    with pytest.raises(RunFailed, match="1-first: out of memory while scoring 6 ") as failed:
        run_sequence(plan(), SmallMemory())
    assert failed.value.fix == "--set training.scoring_batch_size=3"
    watcher = Recorder()
    result = run_sequence(plan(training={"scoring_batch_size": 3}), watcher)
    assert watcher.trained_stages == ["2-second"]
    assert forgetless.load_plan(result.path / "plan.yaml").training.scoring_batch_size == 3
    for stage in whole.matrix.stages:
        scores = Path("stages") / stage / "scores.jsonl"
        assert (result.path / scores).read_bytes() == (whole.path / scores).read_bytes()


def test_a_stage_that_was_trained_and_not_scored_is_shared(plan: MakePlan) -> None:
    class Stop(Recorder):
        def scored(self, task: str, done: int, total: int) -> None:
            if self.trained_stages:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sequence(plan("stopped"), Stop())
    watcher = Recorder()
    run_sequence(plan("other"), watcher, share_with=[Path(plan("stopped").output)])
    assert watcher.trained_stages == ["2-second"]


def test_joint_training_is_one_stage_that_trains_every_task(plan: MakePlan) -> None:
    result = run_sequence(plan(methods=["joint"]))
    assert result.matrix.stages == ("0-base", "1-joint")
    assert [task.trained_in for task in result.matrix.tasks] == [1, 1, None]
    assert {line["task"] for line in lines(result.path / "stages/1-joint/train.jsonl")} == {
        "first",
        "second",
    }


def test_a_plan_of_the_users_own_in_the_folder_is_never_overwritten(plan: MakePlan) -> None:
    wanted = plan()
    own = Path(wanted.output) / "plan.yaml"
    own.parent.mkdir()
    own.write_text("# my notes\n")
    with pytest.raises(RunFolderError, match=r"not a run folder, it holds 'plan\.yaml'"):
        run_sequence(wanted)
    assert own.read_text() == "# my notes\n"


def test_defaults_of_methods_are_written_out_so_that_naming_them_changes_nothing(
    plan: MakePlan,
) -> None:
    short = run_sequence(plan(methods=["replay"]))
    spelled = plan(methods=[{"replay": {"ratio": 0.1, "buffer": "all"}}])
    assert run_sequence(spelled).path == short.path  # the same plan, so not refused
    assert "ratio: 0.1" in (short.path / "plan.yaml").read_text(encoding="utf-8")


def test_a_row_longer_than_the_models_context_is_refused(plan: MakePlan, tmp_path: Path) -> None:
    long = write_rows(tmp_path / "long.jsonl", [{"prompt": "p", "completion": "c" * 300}] * 2)
    wanted = plan(sequence=[{"train": str(long), "test": str(long)}])
    with pytest.raises(DataError, match="more than the model's context of 256"):
        run_sequence(wanted)


def test_rows_that_were_too_long_and_dropped_are_counted_for_the_user(
    plan: MakePlan, tmp_path: Path
) -> None:
    rows = [{"prompt": f"{i}?", "completion": "c" * (200 if i == 3 else 2)} for i in range(6)]
    train = write_rows(tmp_path / "mixed.jsonl", rows)
    test = write_rows(tmp_path / "mixed_test.jsonl", [{"prompt": "x?", "completion": "c"}])
    watcher = Recorder()
    result = run_sequence(
        plan(
            sequence=[{"name": "mixed", "train": str(train), "test": str(test)}],
            training={"max_length": 64, "too_long": "drop"},
        ),
        watcher,
    )
    said = "1-mixed: 1 training rows were too long and left out"
    assert f"warning: {said}" in watcher.notes
    assert said in result.results.warnings


def test_other_general_rows_are_another_stage(plan: MakePlan, tmp_path: Path) -> None:
    general = write_rows(tmp_path / "general.jsonl", [{"prompt": "g?", "completion": "one"}] * 3)
    methods = [{"replay": {"general": str(general), "general_ratio": 0.2}}]
    first = run_sequence(plan("first", methods=methods))
    write_rows(general, [{"prompt": "g?", "completion": "two"}] * 3)
    watcher = Recorder()
    run_sequence(plan("second", methods=methods), watcher, share_with=[first.path])
    assert watcher.trained_stages == ["1-first", "2-second"]


def test_lora_on_an_adapter_is_refused_before_anything_is_loaded(plan: MakePlan) -> None:
    adapter = run_sequence(plan("adapter", methods=["lora"])).model_path()
    with pytest.raises(ModelError, match="is an adapter, and lora would put another on top"):
        run_sequence(plan("again", model=str(adapter), methods=["lora"]))


def test_data_changed_between_a_kill_and_the_restart_is_refused(
    plan: MakePlan, tmp_path: Path
) -> None:
    rows = [{"prompt": f"{i}?", "completion": "yes"} for i in range(8)]
    train = write_rows(tmp_path / "own.jsonl", rows)
    test = write_rows(tmp_path / "own_test.jsonl", [{"prompt": "x?", "completion": "no"}])
    wanted = plan(
        sequence=[{"name": "own", "train": str(train), "test": str(test)}],
        training={"checkpoint_every": 1},
    )

    class Stop(Progress):
        def trained(self, step: int, steps: int, loss: float) -> None:
            if step == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sequence(wanted, Stop())
    write_rows(train, [row | {"completion": "no"} for row in rows])
    with pytest.raises(RunFailed, match="stage 1-own was trained on other data"):
        run_sequence(wanted)
    write_rows(train, rows)
    assert run_sequence(wanted).results.state == "finished"


def test_a_run_that_was_refused_for_a_row_goes_on_once_the_row_is_mended(
    plan: MakePlan, tmp_path: Path
) -> None:
    rows = [{"prompt": f"{i}?", "completion": "yes"} for i in range(8)]
    train = write_rows(tmp_path / "own.jsonl", [*rows, {"prompt": "8?", "completion": "c" * 300}])
    test = write_rows(tmp_path / "own_test.jsonl", [{"prompt": "x?", "completion": "no"}])
    own = {"name": "own", "train": str(train), "test": str(test)}
    wanted = plan(sequence=[plan().sequence[0], own])
    with pytest.raises(DataError, match="more than the model's context of 256"):
        run_sequence(wanted)
    write_rows(train, rows)
    watcher = Recorder()
    assert run_sequence(wanted, watcher).results.state == "finished"
    assert watcher.trained_stages == ["2-own"]


def test_lost_scores_are_made_again(plan: MakePlan) -> None:
    result = run_sequence(plan())
    scores = result.path / "stages" / "2-second" / "scores.jsonl"
    before = scores.read_bytes()
    scores.unlink()
    watcher = Recorder()
    run_sequence(plan(), watcher)
    assert watcher.trained_stages == []
    assert scores.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        *("{", "{}", "[]", '{"format": 1}', '{"format": 1, "stages": 3}'),
        '{"format": 1, "plan_sha256": "", "stages": [{}], "tasks": [], "model": {}}',
    ],
)
def test_a_damaged_manifest_is_a_message(plan: MakePlan, content: str) -> None:
    wanted = plan()
    folder = Path(wanted.output)
    folder.mkdir()
    (folder / "manifest.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"manifest\.json: damaged"):
        run_sequence(wanted)
    with pytest.raises(RunFolderError, match=r"manifest\.json: damaged"):
        run_sequence(plan("other"), share_with=[folder])


def test_sharing_with_a_folder_that_is_no_run_is_refused(plan: MakePlan, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"not a run folder, it holds no manifest\.json"):
        run_sequence(plan(), share_with=[tmp_path / "nowhere"])
    assert not Path(plan().output).exists()


def test_damaged_weights_of_another_run_are_not_shared(plan: MakePlan) -> None:
    plain = run_sequence(plan("plain"))
    weights = plain.model_path(1) / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(RunFolderError, match=r"model\.safetensors: not the file that was written"):
        run_sequence(plan("protected", methods=["replay"]), share_with=[plain.path])


def test_another_scorer_shares_the_training_and_scores_anew(plan: MakePlan, data: Path) -> None:
    def tasks(score: str) -> list[dict[str, Any]]:
        file = {"train": str(data / "first.jsonl"), "test": str(data / "first_test.jsonl")}
        return [{"name": "first", "score": score, "max_new_tokens": 8, **file}]

    strict = run_sequence(plan("strict", sequence=tasks("exact_match")))
    watcher = Recorder()
    graded = run_sequence(
        plan("graded", sequence=tasks("token_f1")), watcher, share_with=[strict.path]
    )
    assert watcher.trained_stages == []
    assert graded.results.tasks[0].scorer == "token_f1"
    scores = lines(graded.path / "stages" / "1-first" / "scores.jsonl")
    own = [line for line in scores if line["task"] == "first"]
    assert [line["score"] for line in own] == [line["readings"]["token_f1"] for line in own]


def test_a_shared_stage_whose_scores_were_lost_is_scored_anew(plan: MakePlan) -> None:
    plain = run_sequence(plan("plain"))
    (plain.path / "stages" / "1-first" / "scores.jsonl").unlink()
    watcher = Recorder()
    shared = run_sequence(plan("shared", ask=[]), watcher, share_with=[plain.path])
    assert watcher.trained_stages == []
    assert all(value is not None for row in shared.matrix.values for value in row)


def test_groups_of_test_items_reach_every_interval(plan: MakePlan, tmp_path: Path) -> None:
    rows = [
        {"question": f"pick {i}", "choices": ["a", "b"], "answer": 0, "group": f"p{i // 3}"}
        for i in range(6)
    ]
    write_rows(tmp_path / "passages.jsonl", rows)
    made = plan(test_only=[{"name": "passages", "test": str(tmp_path / "passages.jsonl")}])
    column = forgetless.run(made).matrix.column("passages")
    assert sorted(column.groups.values()) == ["p0", "p0", "p0", "p1", "p1", "p1"]

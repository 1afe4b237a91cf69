"""Faults end with a message and an exit code, never with a traceback."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from forgetless import processes
from forgetless.errors import RunFailed, UsageError
from tests.cli.conftest import Ended, Forgetless
from tests.tiny import build_tokenizer, write_rows


def refused(ended: Ended) -> tuple[str, str]:
    """Message and fix of a command that was refused before it started."""
    assert ended.code == 2
    assert ended.out == ""
    assert "Traceback" not in ended.err
    first, *rest = ended.err.rstrip("\n").split("\n")
    assert first.startswith("error: ")
    fixes = [line.removeprefix("  fix: ") for line in rest if line.startswith("  fix: ")]
    assert len(fixes) == 1, ended.err
    return first.removeprefix("error: "), fixes[0]


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        ("rnu", "No such command 'rnu'. Did you mean 'run'?", "forgetless --help"),
        ("--nope", "No such option: --nope", "forgetless --help"),
        ("run", "Missing argument 'plan'.", "forgetless run --help"),
        ("init", "Missing argument 'data'.", "forgetless init --help"),
        ("report", "Missing argument 'runs'.", "forgetless report --help"),
        ("run a b", "Got unexpected extra argument(s) (b)", "forgetless run --help"),
        ("run a --dry", "No such option: --dry", "forgetless run --help"),
        ("demo x", "Got unexpected extra argument(s) (x)", "forgetless demo --help"),
        ("run a --set", "Option '--set' requires an argument.", "forgetless --help"),
    ],
)
def test_wrong_usage_is_refused_with_where_to_read(
    forgetless: Forgetless, arguments: str, message: str, fix: str
) -> None:
    found, remedy = refused(forgetless(*arguments.split()))
    assert found.split(" (Possible")[0].split(" Did you mean --")[0] == message
    assert remedy == fix


@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry", "real"])
@pytest.mark.parametrize(
    ("change", "message", "fix"),
    [
        ("trainig.seed=1", "unknown key 'trainig'", "did you mean 'training'?"),
        ("training.learning_rat=1", "unknown key 'learning_rat' in training",
         "did you mean 'learning_rate'?"),
        ("methods=[replya]", "methods: there is no method 'replya'", "did you mean 'replay'?"),
        ("methods=[{replay: {rati: 1}}]", "methods: replay has no option 'rati'",
         "did you mean 'ratio'?"),
        ("methods=[joint, replay]", "methods: joint and replay cannot be combined",
         "leave joint or replay out"),
        ("sequence.0.train=none.jsonl", "none.jsonl: no such file",
         "check the path; "),
        ("sequence.0.fields={prompt: q}", "fields names the column 'q', which is not there",
         "its columns are completion, prompt"),
        ("sequence.0.hold_out=0.001", "task 'first' has no test items",
         "raise hold_out, or name a test source"),
        ("sequence.0.score=multiple_choice", "its items have no choices",
         "choose exact_match, contains, token_f1 or nll"),
        ("model=./none", "no such model folder or file", "check the path"),
        ("model=bundled:none", "bundled:none: no such model",
         "there is bundled:smollm2-135m-instruct"),
        ("sequence.0.train=bundled:none", "bundled:none: no such bundled task", "there are "),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_work_is_refused_before_anything_starts(
    forgetless: Forgetless, plan: Path, change: str, message: str, fix: str, dry: list[str]
) -> None:
    found, remedy = refused(forgetless("run", plan, "--set", change, *dry))
    assert message in found
    assert remedy.startswith(fix)
    assert not (plan.parent / "runs").exists()


def test_a_missing_plan_is_refused(forgetless: Forgetless, data: Path) -> None:
    found, remedy = refused(forgetless("run", "none.yaml"))
    assert found == "none.yaml: no such plan file"
    assert remedy == "write one:  forgetless init DATA -o none.yaml"


def test_a_malformed_row_is_refused_with_its_line(forgetless: Forgetless, plan: Path) -> None:
    with (plan.parent / "first.jsonl").open("a") as file:
        file.write('{"prompt": "a"}\n')
    found, remedy = refused(forgetless("run", plan, "--dry-run"))
    assert found == f"{plan.parent / 'first.jsonl'}:21: no 'completion' (found: prompt)"
    assert remedy == "mend or delete that row"


def test_every_fault_of_a_plan_is_shown_on_a_line_of_its_own(
    forgetless: Forgetless, plan: Path
) -> None:
    changes = ["--set", "training.epochs=0", "--set", "training.sed=1"]
    code, out, err = forgetless("run", plan, *changes)
    assert (code, out) == (2, "")
    assert err == (
        f"error: {plan}: unknown key 'sed' in training\n"
        f"{plan}: training.epochs: found int '0': input should be greater than 0\n"
        "  fix: did you mean 'seed'?\n"
    )


def test_a_model_without_a_template_cannot_hold_conversations(
    forgetless: Forgetless, plan: Path, tmp_path: Path, tiny_model: Path
) -> None:
    model = tmp_path / "base"
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        (model / name).symlink_to(tiny_model / name)
    build_tokenizer(chat=False).save_pretrained(model)
    turns = [{"role": role, "content": "x"} for role in ("user", "assistant", "user", "assistant")]
    chats = [
        {"messages": [*turns[:-1], {"role": "assistant", "content": str(n)}]} for n in range(20)
    ]
    write_rows(plan.parent / "second.jsonl", chats)
    found, remedy = refused(forgetless("run", plan, "--dry-run", "--set", f"model={model}"))
    assert "has no chat template" in found
    assert "task 'second' is a chat of 4 messages" in found
    assert remedy == "use an instruction-tuned model, or set  render: plain  for the task"


def test_a_failure_while_working_ends_with_exit_code_1(
    forgetless: Forgetless, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RunFailed("the disk is full", fix="free some space")

    monkeypatch.setattr("forgetless.sequence.run_sequence", fail)
    assert forgetless("run", plan, "-q") == (
        1,
        "",
        "error: the disk is full\n  fix: free some space\n",
    )


def test_ctrl_c_ends_with_130_and_says_how_to_continue(
    forgetless: Forgetless, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("forgetless.sequence.run_sequence", stop)
    code, _, err = forgetless("run", plan, "-q")
    assert code == 130
    assert err == (
        "error: stopped; what was finished is kept\n  fix: run the same command to continue\n"
    )


def test_a_fault_of_our_own_is_not_hidden(
    forgetless: Forgetless, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("forgetless.sequence.run_sequence", break_down)
    with pytest.raises(ZeroDivisionError):
        forgetless("run", plan, "-q")


def test_messages_are_shown_as_they_are_whatever_brackets_they_hold(
    forgetless: Forgetless, data: Path
) -> None:
    found, _ = refused(forgetless("run", "[bold]x[/bold].yaml"))
    assert found == "[bold]x[/bold].yaml: no such plan file"


def test_json_is_not_printed_for_a_plan_that_was_refused(
    forgetless: Forgetless, plan: Path
) -> None:
    ended = forgetless("run", plan, "--dry-run", "--json", "--set", "training.max_length=8")
    found, _ = refused(ended)
    assert "tokens, more than training.max_length = 8" in found
    with pytest.raises(json.JSONDecodeError):
        json.loads(ended.out)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', needed a whole number of at least 1"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0', needed a whole number of at least 1"),
        ({"WORLD_SIZE": "1.0"}, "WORLD_SIZE is '1.0', needed a whole number of at least 1"),
        ({"WORLD_SIZE": "2", "RANK": "-1"}, "RANK is '-1', needed a whole number from 0 to 1"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK is '2', needed a whole number from 0 to 1"),
    ],
)
def test_what_no_launcher_says_of_its_processes_is_refused(
    told: dict[str, str], message: str, forgetless: Forgetless, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    found, fix = refused(forgetless("--version"))
    assert found == f"the environment variable {message}"
    assert fix == "unset WORLD_SIZE RANK LOCAL_RANK"


def test_a_run_refuses_what_no_launcher_says_of_a_process_among_those_of_its_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "x")
    with pytest.raises(UsageError) as caught:
        processes.join("cpu")
    assert caught.value.message == (
        "the environment variable LOCAL_RANK is 'x', needed a whole number of at least 0"
    )
    assert caught.value.fix == "unset WORLD_SIZE RANK LOCAL_RANK"
    monkeypatch.setenv("LOCAL_RANK", "-1")  # none, for torch and accelerate
    processes.join("cpu")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "5")
    with pytest.raises(UsageError, match="RANK is '5', needed a whole number from 0 to 1"):
        processes.join("cpu")


@pytest.mark.parametrize("name", ["WORLD_SIZE", "RANK", "LOCAL_RANK"])
def test_what_a_launcher_left_empty_is_not_set(
    name: str, forgetless: Forgetless, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for accelerate either, once a run has begun."""
    monkeypatch.setenv(name, "")
    assert forgetless("--version").code == 0
    processes.join("cpu")
    assert name not in os.environ

"""A plan whose model a provider fine-tunes, carried out with our own server as the provider."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from openai.types.fine_tuning import FineTuningJob

from forgetless.cli import main
from forgetless.errors import DataError, PlanError, RunFailed, UsageError
from forgetless.hosted.estimate import estimate_hosted
from forgetless.plan import Plan, make_plan
from forgetless.preparation import prepare
from forgetless.progress import Progress
from forgetless.report import write_report
from forgetless.sequence import run_sequence
from forgetless.training.report import TrainingReport
from tests.endpoints.faults import Server
from tests.endpoints.faults import serving as serving_script
from tests.endpoints.scripted import Scripted
from tests.hosted.scripted import ScriptedProvider
from tests.serving.build import Served, lines
from tests.tiny import colours, write_rows

pytestmark = pytest.mark.system

Chain = tuple[FineTuningJob, FineTuningJob]
MakePlan = Callable[..., Plan]


class Killed(BaseException):
    """The process is killed here."""


@pytest.fixture
def plan(tmp_path: Path) -> MakePlan:
    """A plan of two stages and a tested-only task, for a provider at an address."""

    def made(url: str, model: str = "tiny", **changes: Any) -> Plan:
        def task(name: str, offset: int) -> dict[str, Any]:
            train = write_rows(tmp_path / f"{name}.jsonl", colours(offset, 20))
            test = write_rows(tmp_path / f"{name}_test.jsonl", colours(offset, 4))
            return {"train": str(train), "test": str(test), "max_new_tokens": 8}

        choices = [
            {"question": f"pick {n}", "choices": ["a", "b"], "answer": n % 2} for n in (0, 1)
        ]
        data = {
            "model": f"openai:{model}@{url}",
            "sequence": [task("first", 0), task("second", 3)],
            "test_only": [{"test": str(write_rows(tmp_path / "choices.jsonl", choices))}],
            "methods": ["replay"],
            "training": {"epochs": 2, "seed": 0},
            "hosted": {"poll_every": 0.05},
            "output": str(tmp_path / "run"),
        }
        return make_plan(data | changes)

    return made


def manifest(plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(plan.output) / "manifest.json").read_text())
    return found


def test_a_plan_goes_through_two_jobs_and_a_kill_and_ends_in_a_matrix_and_a_report(
    served: Served, chain: Chain, plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while the first job is under way, and again while the second model is asked."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-this-test-alone")
    start = str(chain[0].fine_tuned_model)
    made = plan(served.url, start, ask=["Who are you?"], training={"epochs": 12})
    jobs_before = len(list(served.client.fine_tuning.jobs.list()))

    class KilledWhile(Progress):
        def __init__(self, what: str) -> None:
            self.what, self.told = what, ""

        def note(self, text: str) -> None:
            self.happened(text)

        def scored(self, task: str, done: int, total: int) -> None:
            self.happened(f"{self.told} scored {task} {done}")

        def stage(self, run: str, name: str, number: int, last: int) -> None:
            self.told = name

        def happened(self, text: str) -> None:
            if self.what in text:
                raise Killed

    for what in ("1-first: job ftjob", "2-second scored second 4"):
        with pytest.raises(Killed):
            run_sequence(made, KilledWhile(what))
    result = run_sequence(made)

    told = manifest(made)
    assert len(list(served.client.fine_tuning.jobs.list())) == jobs_before + 2
    jobs = [
        served.client.fine_tuning.jobs.retrieve(stage["hosted"]["job"])
        for stage in told["stages"][1:]
    ]
    assert jobs[0].model == start
    assert jobs[1].model == jobs[0].fine_tuned_model
    assert [job.hyperparameters.n_epochs for job in jobs] == [12, 12]
    for stage, job in zip(told["stages"][1:], jobs, strict=True):
        sent = served.client.files.content(job.training_file).read()
        folder = Path(made.output) / "stages" / stage["name"]
        assert sent == (folder / "training_file.jsonl").read_bytes()
        assert stage["hosted"]["model"] == job.fine_tuned_model
        assert stage["training"]["tokens"] == job.trained_tokens
        assert stage["training"]["final_loss"] < stage["training"]["first_loss"]
        assert stage["training"].keys() == {field.name for field in fields(TrainingReport)}
    replayed = [line["replayed"] for line in lines(folder / "train.jsonl")]
    assert 0 < sum(replayed) < len(replayed) / 4

    matrix = result.matrix
    assert (len(matrix.stages), [task.name for task in matrix.tasks]) == (
        3,
        ["first", "second", "choices"],
    )
    assert not matrix.missing
    assert [task["rendering"] for task in told["tasks"]] == [
        "generation, chat in chat",
        "generation, chat in chat",
        "letters, chat in chat",
    ]
    assert len(result.results.answers[2]) == 1
    files = write_report([result.path], result.path)
    assert "model after 2-second" in files.html.read_text()
    written = [file for file in result.path.rglob("*") if file.is_file()]
    assert not [file for file in written if b"sk-of-this-test-alone" in file.read_bytes()]


@pytest.fixture
def provider(served: Served, chain: Chain) -> Any:
    """A scripted provider of jobs before the served model, which is asked for every answer."""
    import httpx2

    script = ScriptedProvider()

    def respond(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        if path.startswith(("/files", "/fine_tuning")):
            return script(path, body, headers)
        body = body | ({"model": chain[0].fine_tuned_model} if "model" in body else {})
        method = "POST" if body else "GET"
        reply = httpx2.request(method, served.url + path, json=body or None, timeout=120.0)
        return reply.status_code, reply.json()

    with serving_script(respond) as server:
        yield script, server


def test_a_failed_job_is_told_and_the_same_command_starts_a_new_one(
    provider: tuple[ScriptedProvider, Server], plan: MakePlan
) -> None:
    script, server = provider
    script.ends = [("failed", {"code": "x", "message": "no room"}), ("succeeded", None)]
    made = plan(server.url)
    with pytest.raises(RunFailed, match=r"1-first: job ftjob-0 .* failed: no room \(x\)"):
        run_sequence(made)
    run_sequence(made)
    assert [job["status"] for job in script.jobs] == ["failed", "succeeded", "succeeded"]
    assert script.jobs[2]["model"] == f"ft:{script.jobs[1]['model']}:ftjob-1"
    again = run_sequence(
        plan(server.url, output=f"{made.output}-2"), share_with=[Path(made.output)]
    )
    assert len(script.jobs) == 3, "the same stages are taken from the run that has them"
    assert again.matrix.values == run_sequence(made).matrix.values
    with pytest.raises(
        UsageError, match=r"stages/2-second: the model is not here; a provider keep"
    ):
        again.model_path()


@pytest.mark.parametrize("refused", ["", "/files", "/fine_tuning/jobs"])
def test_data_that_the_provider_finds_wrong_may_be_mended(
    refused: str, plan: MakePlan, tmp_path: Path
) -> None:
    """It refuses the file, or to start the job; or the job fails."""
    wrong = {"message": "line 3 is blocked"}
    script = ScriptedProvider(page=100)
    script.ends = [*[("failed", wrong)] * (not refused), ("succeeded", None)]
    refusals = [(400, {"error": wrong})]

    def respond(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        if path == refused and refusals:
            return refusals.pop()
        if path.startswith(("/files", "/fine_tuning")):
            return script(path, body, headers)
        return Scripted(model=body.get("model", "tiny"))(path, body, headers)

    with serving_script(respond) as server:
        made = plan(server.url)
        with pytest.raises(RunFailed, match="line 3 is blocked"):
            run_sequence(made)
        write_rows(tmp_path / "first.jsonl", colours(7, 20))
        run_sequence(made)
    assert [job["status"] for job in script.jobs][-2:] == ["succeeded", "succeeded"]


def test_choices_learned_by_letter_are_another_stage_than_choices_learned_in_full(
    plan: MakePlan, tmp_path: Path
) -> None:
    rows = [{"question": f"pick {n}", "choices": ["a", "b"], "answer": n % 2} for n in range(30)]
    train = str(write_rows(tmp_path / "train.jsonl", rows))

    def stages(score: str) -> list[str]:
        task = {"train": train, "score": score, "hold_out": 0.2}
        made = plan("http://127.0.0.1:9/v1", sequence=[task], test_only=[], methods=[])
        return prepare(made).fingerprints()

    in_full, by_letter = stages("contains"), stages("multiple_choice")
    assert in_full[0] == by_letter[0]
    assert in_full[1] != by_letter[1]
    assert in_full == stages("exact_match"), "how answers are scored trains nothing else"


def test_a_model_that_is_asked_otherwise_than_before_is_not_compared(
    provider: tuple[ScriptedProvider, Server], plan: MakePlan
) -> None:
    _, server = provider
    asked = server.respond

    def respond(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        if "logprobs" in body and ":ftjob-" in str(body.get("model")):
            return 400, {"error": {"message": "logprobs are not supported"}}
        return asked(path, body, headers)

    server.respond = respond
    with pytest.raises(RunFailed, match=r"task 'choices' would be asked otherwise .* mode is"):
        run_sequence(plan(server.url))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"methods": ["ewc"]}, PlanError, "ewc cannot protect openai:tiny.*: it acts on weights"),
        ({"methods": ["self_replay"]}, PlanError, "the model writes its rows"),
        (
            {"methods": [{"replay": {"buffer": "balanced", "select": "surprise"}}]},
            PlanError,
            "select: surprise looks at the model",
        ),
        ({"budget": "2%"}, PlanError, "budget: it steers training from inside"),
        ({"training": {"learning_rate": 1e-3}}, PlanError, "learning_rate has no effect"),
        ({"training": {"epochs": 1.5}}, PlanError, "whole epochs only"),
        ({"hosted": {"max_length": 8}}, DataError, "more than hosted.max_length"),
    ],
)
def test_what_a_provider_cannot_do_is_refused_before_anything_is_sent(
    plan: MakePlan, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):  # nothing listens at this address
        run_sequence(plan("http://127.0.0.1:9/v1", **changes))


def test_a_launcher_of_several_processes_has_no_use_for_a_provider(
    plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(PlanError, match=r"openai:tiny.*: a provider trains it, 2 proc") as refused:
        prepare(plan("http://localhost:9/v1"))
    assert refused.value.fix == "start it without a launcher"


def test_auto_is_the_protection_that_needs_no_weights(plan: MakePlan) -> None:
    found = estimate_hosted(plan("http://127.0.0.1:9/v1", methods="auto"))
    assert found.method == "replay"


def test_a_dry_run_prices_what_would_be_sent(plan: MakePlan) -> None:
    prices = {"training": 10, "input": 2, "output": 4}
    hosted = {"prices": prices}
    found = estimate_hosted(plan("http://127.0.0.1:9/v1", hosted=hosted, methods=[]))
    # "colour 0-12?" has 12 bytes: 3 tokens, and 4 around each message; a name has 1 or 2
    rows = [*colours(0, 20)]
    tokens = sum(
        4 + -(-len(row["prompt"]) // 4) + 4 + -(-len(row["completion"]) // 4) for row in rows
    )
    assert (found.stages[0].rows, found.stages[0].tokens) == (20, 2 * tokens)
    assert found.stages[0].price == pytest.approx(2 * tokens * 10 / 1e6)
    first = found.tasks[0]
    assert (first.input_tokens, first.output_tokens) == (4 * (4 + 3), 4 * 8)
    # of two choices each: a letter, else an answer, asked for with the same messages
    assert found.tasks[2].output_tokens == 2 * (1 + 64)
    assert found.tasks[2].input_tokens == 2 * 2 * (4 + 2)
    read = sum(task.input_tokens for task in found.tasks)
    written = sum(task.output_tokens for task in found.tasks)
    assert found.scoring_price == pytest.approx(3 * (read * 2 + written * 4) / 1e6)
    assert found.price == pytest.approx((found.training_price or 0) + (found.scoring_price or 0))


def test_a_dry_run_prices_open_questions_and_whole_texts(plan: MakePlan, tmp_path: Path) -> None:
    texts = write_rows(tmp_path / "texts.jsonl", [{"text": "x" * 40}])
    changes: dict[str, Any] = {
        "hosted": {"prices": {"training": 0, "input": 1e6, "output": 1e4}},
        "test_only": [{"test": str(texts)}],
        "methods": [],
    }
    made = [plan("http://127.0.0.1:9/v1", **changes, ask=ask) for ask in ([], ["Who?", "Why?"])]
    without, found = map(estimate_hosted, made)
    assert (found.tasks[2].input_tokens, found.tasks[2].output_tokens) == (4 + 10, 1)
    asked = 3 * 2 * ((4 + 1) + 64 * 0.01)
    assert (found.scoring_price or 0) - (without.scoring_price or 0) == pytest.approx(asked)


def test_without_a_price_list_no_price_is_told(plan: MakePlan) -> None:
    told = estimate_hosted(plan("http://127.0.0.1:9/v1")).to_json()
    assert (told["training_price"], told["scoring_price"], told["price"]) == (None, None, None)


def test_a_dry_run_on_the_command_line_sends_nothing(
    plan: MakePlan,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(plan("http://127.0.0.1:9/v1").to_yaml())
    monkeypatch.setattr("sys.argv", ["forgetless", "run", str(file), "--dry-run"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    said = capsys.readouterr().out
    assert "price: unknown without the provider's price list" in said
    assert "nothing was trained and nothing was written" in said
    assert not (tmp_path / "run").exists()


def test_hosted_settings_of_a_local_model_are_refused() -> None:
    with pytest.raises(PlanError, match="hosted is for a model named openai:NAME"):
        make_plan({"model": "m", "sequence": ["a.jsonl"], "hosted": {"poll_every": 1}})
    with pytest.raises(PlanError) as caught:
        make_plan({"model": "openai:m", "sequence": ["a"], "hosted": {"prices": {"traning": 1}}})
    assert caught.value.fix == "did you mean 'training'?"

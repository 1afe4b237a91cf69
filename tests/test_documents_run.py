"""Code in the documents does what it says: it is run, on small stand-ins of the same names.

A page that says ``forgetless audit BASE TUNED`` finds folders BASE and TUNED with models, a page
that trains ``medical.jsonl`` finds that file, a page with a ``trainer`` finds one.  Models are the
tiny ones of all tests.  What is not run is named below, with the reason; so is what is slow.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import forgetless
from forgetless.plan import Plan
from tests.cli.conftest import Forgetless
from tests.cli.conftest import forgetless as call
from tests.code_blocks import Block, blocks, commands, lines, words
from tests.tiny import build_model, colours, write_rows

__all__ = ["call"]  # a fixture

BLOCKS = blocks()
RESULTS = Path(__file__).parent / "exchange" / "data" / "lm_eval"
# Models that a page names and that are not here.
STAND_INS = {
    "bundled:smollm2-135m-instruct": "BASE",
    "HuggingFaceTB/SmolLM2-135M-Instruct": "BASE",
    "bundled:medical_shorthand": "medical.jsonl",
    "bundled:legal_prose": "legal.jsonl",
    "bundled:general_knowledge": "general.jsonl",
}
ROWS, MANY = 20, 160  # of a task: a tenth is held out, and a budget needs 16 of them
VERDICTS = {0, 3, 4}  # kept, broken, not decided: a model that knows nothing may get any of them

# Commands that are not run, each with the reason; a key is how the command begins.
NOT_RUN = {
    "demo": "trains the real model for minutes: make demo",
    "audit bundled:smollm2-135m-instruct runs/demo": "asks the two models of the demo",
    "repair runs/demo": "repairs a model of the demo",
    "audit openai:": "needs a server: tests/endpoints",
    "audit BASE TUNED --task essays.jsonl --judge openai:": "needs a server: tests/endpoints",
    "audit BASE TUNED --task lm_eval:": "downloads data: tests/exchange/test_lm_eval_tasks.py",
    "serve": "runs until it is stopped: tests/serving",
    "compare plan.yaml --on ray": "needs a cluster: tests/comparing/test_ray.py",
    "run plan.yaml --push-to-hub": "needs the hub: tests/cli/test_push.py",
    "--install-completion": "writes to the files of one's shell",
}
# The same for whole blocks, by page and the first words in it.
BLOCKS_NOT_RUN = {
    (
        "docs/hosted.md",
        "export OPENAI_API_KEY",
    ): "needs a provider: tests/serving/test_hosted_plan.py",
    ("docs/hosted.md", "model: openai:"): "needs a provider: tests/serving/test_hosted_plan.py",
    ("docs/hub.md", "model: {name:"): "needs the hub: tests/tasks and tests/models read from it",
    ("docs/serve.md", "import openai"): "needs a server: tests/serving/test_jobs.py",
    ("docs/processes.md", "torchrun"): "needs processes: tests/training/test_protect_launched.py",
}
# Commands that ask the built-in tasks, or train with a budget, dozens of times, or once more what
# another page trains.
SLOW = (
    "audit BASE TUNED",
    "audit BASE TUNED --suite quick",
    "audit BASE adapters/law adapters/tax",
)
SLOW_STARTS = (
    "audit BASE models/tuned --suite",
    "compare plan.yaml --methods",
    "run plan.yaml --set budget=",
)
SLOW_PAGES = ("docs/index.md", "docs/budget.md", "docs/from_your_script.md")
CODES = dict.fromkeys(("audit", "repair"), VERDICTS) | {"run": {0, 3}}
# Lines of other programs: not ours to test.
OTHERS = re.compile(r"make |git clone|pip install|python -m benchmarks|if \[|exit ")


@pytest.fixture(scope="session")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny models, and two adapters of the first."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("BASE", "TUNED")):
        build_model(folder / name, seed=seed, context=2048)
    for name in ("law", "tax"):
        base = AutoModelForCausalLM.from_pretrained(folder / "BASE")
        config = LoraConfig(target_modules="all-linear", init_lora_weights=False)
        get_peft_model(base, config).save_pretrained(folder / "adapters" / name)
        AutoTokenizer.from_pretrained(folder / "BASE").save_pretrained(folder / "adapters" / name)
    return folder


def settings(**changes: Any) -> dict[str, Any]:
    """A plan of the reader's own."""
    return {
        "model": "BASE",
        "sequence": ["medical.jsonl", "legal.jsonl"],
        "training": {"epochs": 1},
        "output": "runs/first",
    } | changes


def write_tasks(folder: Path, count: int) -> None:
    """The rows of every task, so many of each."""
    for offset, name in enumerate(("medical", "legal", "old", "new", "exam")):
        write_rows(folder / f"{name}.jsonl", colours(offset, count))


@pytest.fixture(scope="session")
def world(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the documents name; it is copied for every page."""
    folder = tmp_path_factory.mktemp("world")
    shutil.copytree(models, folder, dirs_exist_ok=True)
    for name, source in {"MODEL": "BASE", "my-model": "BASE", "OUTPUT": "TUNED",
                         "models/tuned": "TUNED"}.items():  # fmt: skip
        shutil.copytree(models / source, folder / name)
    write_tasks(folder, ROWS)
    (folder / "tests").mkdir()
    shutil.copy(folder / "exam.jsonl", folder / "tests" / "exam.jsonl")
    choices = {"choices": ["red", "blue", "green"], "answer": 0}
    write_rows(folder / "general.jsonl", [{"question": f"{i}?"} | choices for i in range(12)])
    named = [
        row | {"question_text": row["prompt"], "reply": row["completion"]}
        for row in colours(7, ROWS)
    ]
    for name in ("legal.csv", "legal_test.csv"):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(named[0]))
            writer.writeheader()
            writer.writerows(named)
    (folder / "alpaca_en_demo.json").write_text(json.dumps(named), encoding="utf-8")
    (folder / "plan.yaml").write_text(yaml.safe_dump(settings()), encoding="utf-8")
    for name in ("before", "after"):
        found = next((RESULTS / name).iterdir())
        for place in ("results", "runs"):
            shutil.copytree(found, folder / place / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, methods in {"plan": ["replay"], "plain": [], "protected": ["replay"]}.items():
            forgetless.run(**settings(methods=methods, output=f"runs/{name}"))
    return folder


@pytest.fixture
def here(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Path:
    """A copy of that folder, entered; with more rows where time is no matter."""
    folder = tmp_path / "here"
    shutil.copytree(world, folder)
    if request.node.get_closest_marker("slow"):
        write_tasks(folder, MANY)
    monkeypatch.chdir(folder)
    return folder


def stood_in(text: str) -> str:
    """The text with models and data that are here."""
    for there, here in STAND_INS.items():
        text = text.replace(there, here)
    return text


def not_run(block: Block) -> str | None:
    """Why nothing of a block is run, if so."""
    found = (why for (page, start), why in BLOCKS_NOT_RUN.items()
             if page == block.page and block.text.startswith(start))  # fmt: skip
    return next(found, None)


def split(block: Block) -> tuple[list[list[str]], list[list[str]]]:
    """The commands of a block that are run, and those of them that are slow."""
    run = [c for c in commands(block) if not " ".join(c).startswith(tuple(NOT_RUN))]
    if block.page in SLOW_PAGES:
        return run, run
    slow = [c for c in run if " ".join(c) in SLOW or " ".join(c).startswith(SLOW_STARTS)]
    return run, slow


def with_commands(*, slow: bool) -> list[Any]:
    chosen = []
    for block in BLOCKS:
        if block.kind in {"", "bash", "yaml"} and not_run(block) is None:
            run, long = split(block)
            wanted = long if slow else [command for command in run if command not in long]
            if wanted:
                chosen.append(pytest.param(block, wanted, id=block.place))
    return chosen


def run_commands(block: Block, wanted: list[list[str]], here: Path, call: Forgetless) -> None:
    if any(command[0] == "init" for command in wanted):  # a reader who only begins
        (here / "plan.yaml").unlink()
        shutil.rmtree(here / "runs")
    for command in wanted:
        ended = call(*map(stood_in, command))
        codes = CODES.get(command[0], {0})
        assert ended.code in codes, f"{block.place}: {' '.join(command)}\n{ended.err}"


@pytest.mark.filterwarnings("ignore")  # of other libraries
@pytest.mark.parametrize(("block", "wanted"), with_commands(slow=False))
def test_commands_of_a_block_run_one_after_another(
    block: Block, wanted: list[list[str]], here: Path, call: Forgetless
) -> None:
    run_commands(block, wanted, here, call)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("block", "wanted"), with_commands(slow=True))
def test_slow_commands_run(
    block: Block, wanted: list[list[str]], here: Path, call: Forgetless
) -> None:
    run_commands(block, wanted, here, call)


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (3, 3), (4, 0), (2, 2)])
def test_the_shell_of_the_page_on_pipelines_lets_only_an_open_question_pass(
    code: int, ends: int, tmp_path: Path
) -> None:
    (script,) = [b.text for b in BLOCKS if b.page == "docs/ci.md" and b.kind == "bash"]
    stub = tmp_path / "forgetless"
    stub.write_text(f"#!/bin/sh\nexit {code}\n")
    stub.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-e", "-c", script], env={"PATH": path}, check=False)
    assert done.returncode == ends


def plans() -> list[Any]:
    """Plans, and parts of plans."""
    found = []
    for block in BLOCKS:
        if block.kind.split(" ")[0] == "yaml" and not_run(block) is None:
            data = yaml.safe_load(stood_in(block.text))
            if set(data) <= set(Plan.model_fields):
                slow = pytest.mark.slow if block.page in SLOW_PAGES else ()
                found.append(pytest.param(data, id=block.place, marks=slow))
    return found


@pytest.mark.parametrize("data", plans())
def test_every_plan_is_carried_out(data: dict[str, Any], here: Path) -> None:
    result = forgetless.run(**settings(output="runs/shown") | data)
    assert all(value is not None for row in result.matrix.values for value in row)


class AtHand(dict[str, Any]):
    """The names of a script of the reader's own; those it has defined before are made on use."""

    def __missing__(self, name: str) -> Any:
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from trl import SFTConfig, SFTTrainer

        from forgetless.methods import EWC, Replay
        from tests.training.trainers import chats

        made: dict[str, Callable[[], Any]] = {
            "forgetless": lambda: forgetless,
            "SFTTrainer": lambda: SFTTrainer,
            "model": lambda: AutoModelForCausalLM.from_pretrained("BASE"),
            "tokenizer": lambda: AutoTokenizer.from_pretrained("BASE"),
            "args": lambda: SFTConfig("out", num_train_epochs=1, report_to="none", use_cpu=True),
            "medical": lambda: chats(0),
            "legal": lambda: chats(1),
            "finance": lambda: chats(2),
            "methods": lambda: [Replay(ratio=0.1), EWC()],
            "trainer": lambda: SFTTrainer(
                self["model"], args=self["args"], train_dataset=self["medical"]
            ),
        }
        if name not in made:  # a built-in, or a mistake of the page
            raise KeyError(name)
        self[name] = made[name]()
        return self[name]


def python_pages() -> list[Any]:
    pages: dict[str, list[Block]] = {}
    for block in BLOCKS:
        if block.kind == "python" and not_run(block) is None:
            pages.setdefault(block.page, []).append(block)
    return [pytest.param(found, id=page) for page, found in pages.items()]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", python_pages())
def test_python_of_a_page_runs_from_its_top_to_its_end(page: list[Block], here: Path) -> None:
    namespace = AtHand()
    for block in page:
        exec(compile(stood_in(block.text), block.place, "exec"), {}, namespace)  # noqa: S102
    if page[0].page == "README.md":
        assert (here / "runs" / "python" / "report.html").is_file()


def test_every_line_of_a_block_is_ours_or_that_of_a_program_named_above() -> None:
    for block in BLOCKS:
        for line in lines(block) if block.kind == "bash" else ():
            said = line.strip()
            known = not said or said.startswith("#") or words(line) or OTHERS.match(said)
            assert known, f"{block.place}: {said}"


def test_nothing_is_left_out_that_no_document_says() -> None:
    said = [" ".join(command) for block in BLOCKS for command in commands(block)]
    for start in (*NOT_RUN, *SLOW, *SLOW_STARTS):
        assert any(one.startswith(start) for one in said), start
    for page, start in BLOCKS_NOT_RUN:
        assert any(b.page == page and b.text.startswith(start) for b in BLOCKS), (page, start)

"""Code in the documents does what it says: it is run, on small stand-ins of the same names.

A page that says ``forgetless audit BASE TUNED`` finds folders BASE and TUNED with models, a page
that trains ``medical.jsonl`` finds that file, a page with a ``trainer`` finds one.  Models are the
tiny ones of all tests.  What is not run is named below, with the reason; so is what is slow.
"""

from __future__ import annotations

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
from tests.documents.blocks import Block, blocks, commands, lines, words
from tests.documents.conftest import settings
from tests.tiny import colours, write_rows

pytestmark = pytest.mark.system

BLOCKS = blocks()
# Models that a page names and that are not here.
STAND_INS = {
    "bundled:smollm2-135m-instruct": "BASE",
    "HuggingFaceTB/SmolLM2-135M-Instruct": "BASE",
    "bundled:medical_shorthand": "medical.jsonl",
    "bundled:legal_prose": "legal.jsonl",
    "bundled:general_knowledge": "general.jsonl",
}
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
PROVIDER = "needs a provider: tests/serving/test_hosted_plan.py"
# The same for whole blocks, by page and the first words in it.
BLOCKS_NOT_RUN = {
    ("docs/hosted.md", "export OPENAI_API_KEY"): PROVIDER,
    ("docs/hosted.md", "model: openai:"): PROVIDER,
    ("docs/hub.md", "model: {name:"): "needs the hub: tests/models/test_hub.py",
    ("docs/processes.md", "torchrun"): "needs processes: tests/integration/test_launched.py",
    ("docs/processes.md", "accelerate"): "needs processes: tests/integration/test_sharded.py",
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
    "compare plan.yaml --set output=",
    "run plan.yaml --set budget=",
)
SLOW_PAGES = ("docs/index.md", "docs/budget.md", "docs/from_your_script.md")
CODES = dict.fromkeys(("audit", "repair"), VERDICTS) | {"run": {0, 3}}
# Lines of other programs: not ours to test.
OTHERS = re.compile(r"make |git clone|source |pip install|python -m benchmarks|if \[|exit ")


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
        from trl.trainer.sft_config import SFTConfig
        from trl.trainer.sft_trainer import SFTTrainer

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
    pages.pop("docs/serve.md")  # below, beside a server
    return [pytest.param(found, id=page) for page, found in pages.items()]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", python_pages())
def test_python_of_a_page_runs_from_its_top_to_its_end(page: list[Block], here: Path) -> None:
    namespace = AtHand()
    for block in page:
        exec(compile(stood_in(block.text), block.place, "exec"), {}, namespace)  # noqa: S102
    if page[0].page == "README.md":
        assert (here / "runs" / "python" / "report.html").is_file()


@pytest.mark.slow
def test_the_client_of_the_page_on_serving_gets_its_job_done(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forgetless.plan import TrainingConfig
    from forgetless.serving.config import ServerConfig
    from tests.serving.build import as_chat, serving

    (block,) = [b for b in BLOCKS if b.page == "docs/serve.md" and b.kind == "python"]
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    write_rows(here / "medical.jsonl", [as_chat(row) for row in colours(0, 20)])
    config = ServerConfig(
        str(here / "BASE"),
        here / "served",
        "smollm2-135m-instruct",
        training=TrainingConfig(epochs=1),
    )
    with serving(config) as served:
        address = "http://127.0.0.1:8000/v1"
        assert address in block.text
        namespace: dict[str, Any] = {}
        exec(block.text.replace(address, served.url), namespace)  # noqa: S102
        namespace["client"].close()
    assert namespace["job"].status == "succeeded"


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

"""Every bad input of the corpus ends in a message that names place and remedy, and in nothing else.

The tables beside this file are the corpus; all of it runs through the command line.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bad_inputs.case import Case
from tests.bad_inputs.conftest import Forgetless
from tests.bad_inputs.models import ADAPTERS, MODELS, TEMPLATES
from tests.bad_inputs.plans import PLANS, SETTINGS
from tests.bad_inputs.results import INSPECT, LM_EVAL
from tests.bad_inputs.rows import FILES, ROWS
from tests.bad_inputs.runs import COMMANDS, RUN_FOLDERS

CORPUS: tuple[Case, ...] = (
    *(*PLANS, *SETTINGS, *FILES, *ROWS, *MODELS, *ADAPTERS, *TEMPLATES),
    *(*LM_EVAL, *INSPECT, *RUN_FOLDERS, *COMMANDS),
)
# A message without a line of its own for the remedy says what would have been right.
SAYS_WHAT_IS_NEEDED = re.compile(r"need|should be|give one|use |there are|the tasks are|not a |no ")


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_a_bad_input_is_refused_with_place_and_remedy(
    case: Case, folder: Path, forgetless: Forgetless
) -> None:
    case.build(folder)
    before = {path for path in folder.rglob("*") if path.is_file()}
    ended = forgetless(*case.arguments)
    assert ended.code == 2, ended
    assert ended.out == ""
    assert "Traceback" not in ended.err
    message, *remedy = ended.err.split("\n  fix: ")
    assert message.startswith("error: "), ended.err
    assert case.says.lower() in message.lower()
    assert case.fix in "".join(remedy)
    assert remedy or SAYS_WHAT_IS_NEEDED.search(message), message
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", ended.err), "it could drive a terminal"
    assert len(ended.err) < 1000, "nobody reads that"
    written = {path for path in folder.rglob("*") if path.is_file()} - before
    assert {path.name for path in written} <= {"manifest.json", "plan.yaml", ".lock"}
    assert not (folder / "executed").exists()


def test_the_corpus_is_large_and_every_case_has_its_name() -> None:
    names = [case.name for case in CORPUS]
    assert len(names) >= 200
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("file", ["plan.yaml", "a.jsonl", "b.csv"])
def test_byte_order_marks_and_windows_line_ends_change_nothing(
    folder: Path, forgetless: Forgetless, file: str
) -> None:
    import json

    rows = "".join(f"{n} and 1?,{n + 1}\n" for n in range(20))
    (folder / "b.csv").write_text("prompt,completion\n" + rows)
    command = ("run", "plan.yaml", "--dry-run", "--json", "--set", "sequence.1.train=b.csv")
    counted = []
    for _ in range(2):
        found = json.loads(forgetless(*command).out)
        counted.append([found["tasks"], [stage["tokens"] for stage in found["stages"]]])
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert counted[0] == counted[1]

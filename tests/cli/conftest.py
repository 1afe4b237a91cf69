from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tasks.conftest import dataset_cache  # noqa: F401 - for these tests too
from tests.tiny import colours, write_rows


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Forgetless = Callable[..., Ended]


@pytest.fixture
def forgetless(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Forgetless:
    """Run the command line in this process, as the console script does."""
    from forgetless.cli import main

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["forgetless", *map(str, arguments)])
        # else Click would name the program after what was started:  python -m pytest.forgetless
        monkeypatch.setattr(sys.modules["__main__"], "__package__", None)
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, out, err)

    return run


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data of two tasks, entered."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("first", "second")):
        write_rows(tmp_path / f"{name}.jsonl", colours(number, 20))
    return tmp_path


@pytest.fixture
def plan(data: Path, tiny_model: Path) -> Path:
    """A plan file for that data and the tiny model."""
    file = data / "plan.yaml"
    file.write_text(
        f"model: {tiny_model}\nsequence: [first.jsonl, second.jsonl]\n"
        "methods: [{replay: {ratio: 0.2}}]\n"
        "training: {max_length: 64, epochs: 1, device: cpu}\noutput: runs/out\n"
    )
    return file

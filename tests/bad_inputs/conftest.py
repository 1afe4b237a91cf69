from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Ended
from tests.tasks.conftest import dataset_cache  # noqa: F401 - for these tests too
from tests.tiny import colours, write_rows

PLAN = "model: ./model\nsequence: [a.jsonl, b.jsonl]\ntraining: {max_length: 64, device: cpu}\n"
LONGEST = 120  # seconds of the clock, on a machine that does other things as well

Forgetless = Callable[..., Ended]


class Hangs(BaseException):
    """No ``Exception``, so that no code under test takes it for one of its own."""


@contextmanager
def no_longer(seconds: float) -> Iterator[None]:
    """Raise in whatever still waits or computes after so many seconds."""

    def stop(*_: object) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def forgetless(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Forgetless:
    """Run the command line in this process; whatever it lets through but its exit is a fault."""
    from forgetless.cli import main

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["forgetless", *arguments])
        with no_longer(LONGEST), pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter of the tiny model; do not write into it."""
    import peft
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("adapter")
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    peft.get_peft_model(model, config).save_pretrained(str(folder))
    return folder


@pytest.fixture
def folder(
    tmp_path: Path, tiny_model: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder where everything is good, entered."""
    monkeypatch.setenv("FORGETLESS_CACHE", str(tmp_path / "cache"))
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    (inside / "model").symlink_to(tiny_model)
    (inside / "adapter").symlink_to(adapter)
    for number, name in enumerate("ab"):
        write_rows(inside / f"{name}.jsonl", colours(number, 130))
    (inside / "plan.yaml").write_text(PLAN)
    return inside

"""The benchmark on a GPU runs without one, and says what it did not measure."""

from __future__ import annotations

import pytest
import typer

from benchmarks import gpu


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # lm-eval's and TRL's own
def test_the_whole_script_runs_on_a_cpu_and_says_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gpu.main(
        device="cpu", model="", tokens=0, batch=0, steps=0, turns=0, items=0, quick=True, log=False
    )
    told = capsys.readouterr().out
    assert "Not measured: anything of a CUDA GPU, bfloat16, and peak memory" in told
    for line in ("| kept |", "| full text, names |", "| replay 10% |"):
        assert line in told
    assert "not measured: /" not in told  # no method failed


def test_without_a_gpu_it_says_how_to_try_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for device in ("", "cpu", "cuda"):
        with pytest.raises(typer.BadParameter, match="--device cpu --quick"):
            gpu.main(device=device)

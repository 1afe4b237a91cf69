"""Growth with the stages: what grows is told, what is scored is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.comparison import growth
from benchmarks.comparison.growth import ARMS, AT, GROWS, Stage, Watch

from benchmarks import overhead
from forgetless.methods import METHODS


def stages(last: float = 1.0, *, state: float = 1.0, memory: float | None = 1.0) -> list[Stage]:
    """17 stages of one second, 100 kB and 100 MB, the last two but one so many times as much."""
    first = None if memory is None else 100.0
    found = [Stage(1.0, 0.5, 100_000, first, 68) for _ in range(AT[-1] + 2)]
    found[15:17] = [Stage(last, 0.5, round(1e5 * state), memory and 100 * memory, 68)] * 2
    return found


def test_every_method_that_has_stages_is_taken_through_them() -> None:
    named = {name for arm in ARMS for name in arm.methods}
    assert named | {"sequential"} == set(METHODS) - {"joint"}
    assert GROWS.keys() <= {arm.name for arm in ARMS}
    assert all(isinstance(growth.methods_of(arm), list) for arm in ARMS)


def test_a_stage_is_told_relative_to_the_second_of_its_own_run() -> None:
    lines = overhead.growth_table({"ewc": [Stage(9, 9, 9, 9, 9), *stages(3.0, memory=2.0)[1:]]})
    assert lines[0].startswith("| methods | stage 2, CPU s | stage 4 | stage 8 | stage 16 |")
    assert lines[2] == "| ewc | 1.00 | 1.00× | 1.00× | 3.00× | 100.0 | 1.00× | 2.00× |"
    unknown = overhead.growth_table({"ewc": stages(memory=None)})[2]
    assert unknown == "| ewc | 1.00 | 1.00× | 1.00× | 1.00× | 100.0 | 1.00× | – |"
    run = stages()
    run[2] = Stage(3.0, 0.5, 100_000, 100.0, 68)  # one of two neighbours
    assert "| ewc | 3.00 | 0.50× | 0.50× | 0.50× |" in overhead.growth_table({"ewc": run})[2]


def test_what_grows_though_it_need_not_is_told_and_what_must_has_its_reason() -> None:
    found = overhead.growth_table(
        {
            "ewc": stages(1.19, state=1.09, memory=1.09),
            "si": stages(1.21, memory=1.11),
            "agem": stages(state=1.11),
            "olora": stages(2.0),
        }
    )
    assert [line for line in found if line.startswith("- ")] == [
        "- si: CPU time, memory grew, and nothing says that it must.",
        "- agem: state grew, and nothing says that it must.",
        f"- olora cannot be constant: {GROWS['olora']}.",
    ]


def test_a_state_of_a_few_bytes_may_grow_by_a_few() -> None:
    run = [Stage(1.0, 0.5, 90 + 20 * number, 100.0, 68) for number in range(18)]
    lines = overhead.growth_table({"replay 10%": run})
    assert "| 0.4 | – |" in lines[2]
    assert not [line for line in lines if line.startswith("- ")]


def test_items_of_rows_that_were_there_are_told_apart_from_those_of_the_new_one() -> None:
    def run(tasks: int) -> list[Stage]:
        """One new column of 4 items in every older row, and a new row."""
        return [Stage(1, 1, 0, None, 4)] * tasks + [Stage(1, 1, 0, None, 4 * tasks)]

    again = [Stage(0, 0, 0, None, 0)] * 17
    lines = overhead.scoring_table(stages(), [*map(run, range(1, 17)), again])
    assert lines[2] == "| 2 | 24 | 16 | 8 | 24 |"
    assert lines[5] == "| 16 | 1088 | 128 | 64 | 1088 |"
    assert "every row scores 68 items, 4 for each task" in lines[7]
    assert "called again, scores 0." in lines[7]


def test_only_items_that_had_no_score_are_counted() -> None:
    watch = Watch()
    watch.stage("run", "1-a", 1, 2)
    for done in (3, 5, 8):  # three were scored before
        watch.scored("a", done, 8)
    watch.scored("b", 0, 2)
    watch.scored("b", 2, 2)
    watch.stage("run", "2-b", 2, 2)
    watch.scored("a", 0, 8)
    assert watch.items == {"1-a": 7, "2-b": 0}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells it")
def test_the_peak_of_a_stage_is_not_that_of_an_earlier_one() -> None:
    watch = Watch()
    watch.stage("run", "1-large", 1, 2)
    large = np.ones(25_000_000)  # 200 MB
    del large
    watch.stage("run", "2-small", 2, 2)
    watch.over()
    assert watch.peaks["1-large"] - watch.peaks["2-small"] > 150


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_whole_script_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    overhead.main(arms="ewc", output=tmp_path, log=False)
    told = capsys.readouterr().out
    assert "| ewc | " in told
    assert "| 16 | 1088 | 128 | 64 | 1088 |" in told
    overhead.main(arms="ewc", output=tmp_path, log=False)  # what is finished is read
    assert capsys.readouterr().out == told

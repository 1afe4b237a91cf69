"""Every trial of a comparison has a folder of its own, whose name can be read."""

from __future__ import annotations

import pytest

from forgetless.comparing.arms import Candidate
from forgetless.comparing.menu import arms_named
from forgetless.comparing.protocol import Trial
from forgetless.comparing.trials import job_name


@pytest.mark.parametrize(
    "arms",
    [
        "replay(general=my_rows.jsonl), replay(general=my-rows.jsonl)",
        "replay(general=a/b.jsonl), replay(general=a-b.jsonl)",
    ],
)
def test_arms_that_differ_never_share_a_folder(arms: str) -> None:
    names = {job_name(Trial(arm, Candidate(1e-4), 0)) for arm in arms_named(arms)}
    assert len(names) == 2


def test_rates_that_differ_in_their_last_digits_never_share_a_folder() -> None:
    (arm,) = arms_named("replay")
    one, other = (job_name(Trial(arm, Candidate(rate), 0)) for rate in (1.0000001e-4, 1e-4))
    assert one != other


def test_a_folder_tells_arm_rate_and_seed_and_fits_any_disk() -> None:
    (arm,) = arms_named("ewc+replay(ratio=0.2)")
    name = job_name(Trial(arm, Candidate(1e-4, (("ewc.strength", 0.1),)), 3))
    assert name.startswith("ewc-replay-ratio-0.2-0.0001-ewc.strength-0.1-seed-3-")
    (long,) = arms_named(f"replay(general={'a' * 300}.jsonl)")
    assert len(job_name(Trial(long, Candidate(1e-4), 0))) < 255

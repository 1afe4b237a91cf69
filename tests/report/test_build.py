"""The files of a report are whole or absent, and of one making."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgetless.errors import RunFolderError
from forgetless.report import ReportFiles, build, write_report

from .fake_runs import FakeTask, write_run
from .pages import Page

LAW = FakeTask("law", [0.1, 0.9, 0.2], 1, items=10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", [LAW])


def test_three_files_are_written_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    files = write_report([folder], tmp_path / "deep" / "out")
    assert isinstance(files, ReportFiles)
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]
    assert files.html.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert json.loads(files.json.read_text())["verdict"]["tone"] == files.verdict.tone


def test_all_forms_say_the_same(folder: Path, tmp_path: Path) -> None:
    files = write_report([folder], tmp_path / "out")
    html = Page(files.html.read_text(encoding="utf-8")).root.text()
    markdown = files.markdown.read_text(encoding="utf-8")
    for sentence in json.loads(files.json.read_text())["verdict"]["sentences"]:
        assert sentence in html
        assert sentence in markdown


def test_the_same_runs_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    one, two = (write_report([folder], tmp_path / name) for name in ("one", "two"))
    assert one.html.read_bytes() == two.html.read_bytes()
    assert one.markdown.read_bytes() == two.markdown.read_bytes()
    assert one.json.read_bytes() == two.json.read_bytes()


def test_a_faulty_run_leaves_the_old_report_alone(folder: Path, tmp_path: Path) -> None:
    files = write_report([folder], tmp_path / "out")
    old = files.html.read_bytes()
    (folder / "manifest.json").write_text("{")
    with pytest.raises(RunFolderError):
        write_report([folder], tmp_path / "out")
    assert files.html.read_bytes() == old


def test_a_kill_while_writing_leaves_the_old_file_or_the_new(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_report([folder], tmp_path / "out")
    old = files.html.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_report([folder], tmp_path / "out")
    assert files.html.read_bytes() == old
    assert json.loads(files.json.read_text())["format"] == 1


def test_everything_is_rendered_before_the_first_file_is_touched(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("no page")

    monkeypatch.setattr(build, "render_html", fail)
    with pytest.raises(RuntimeError, match="no page"):
        write_report([folder], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lone_surrogates_in_an_answer_can_be_written(folder: Path, tmp_path: Path) -> None:
    path = folder / "stages" / "2-more" / "scores.jsonl"
    path.write_text(path.read_text().replace("Consideration", "\\ud83d Consideration"))
    files = write_report([folder], tmp_path / "out")
    assert "\N{REPLACEMENT CHARACTER} Consideration" in files.html.read_text(encoding="utf-8")
    assert "\N{REPLACEMENT CHARACTER} Consideration" in files.markdown.read_text(encoding="utf-8")

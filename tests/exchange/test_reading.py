"""Either tool's results are recognised by their files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from forgetless.errors import DataError
from forgetless.exchange.reading import is_results_folder, read_results
from tests.exchange.build import DATA
from tests.tiny import write_rows


def test_results_of_either_tool_are_recognised(tmp_path: Path) -> None:
    shutil.copy(DATA / "inspect" / "once.json", tmp_path / "once.json")
    assert is_results_folder(DATA / "lm_eval" / "before")
    assert is_results_folder(DATA / "lm_eval" / "before" / "base")
    assert is_results_folder(DATA / "inspect" / "before.eval")
    assert is_results_folder(tmp_path)


def test_models_and_data_are_no_results(tmp_path: Path, tiny_model: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"prompt": "a", "completion": "b"}])
    assert not is_results_folder(tiny_model)
    assert not is_results_folder(tmp_path)
    assert not is_results_folder(tmp_path / "rows.jsonl")
    assert not is_results_folder("openai:some/model")


def test_either_format_is_read_by_one_function() -> None:
    assert read_results(DATA / "lm_eval" / "before").format == "lm_eval"
    assert read_results(DATA / "inspect" / "before.eval").format == "inspect"


def test_a_folder_with_neither_is_refused_saying_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no results; needed results_\*\.json"):
        read_results(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_results(tmp_path / "absent")


def test_a_folder_with_both_is_refused(tmp_path: Path) -> None:
    shutil.copytree(DATA / "lm_eval" / "before", tmp_path / "both")
    shutil.copy(DATA / "inspect" / "once.json", tmp_path / "both" / "once.json")
    with pytest.raises(DataError, match="needed those of one"):
        read_results(tmp_path / "both")


def test_no_file_kept_for_these_tests_names_a_machine() -> None:
    files = [*DATA.rglob("*.json*")]
    assert DATA / "inspect" / "once.json" in files
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not any(f'"/{folder}/' in text for folder in ("tmp", "home", "root", "usr"))

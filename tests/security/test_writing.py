"""A run writes into its folder and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.errors import RunFolderError
from forgetless.runfolder import RunFolder


def test_a_stage_behind_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "run" / "stages").mkdir(parents=True)
    (tmp_path / "run" / "stages" / "1-law").symlink_to(tmp_path / "outside")
    with pytest.raises(RunFolderError, match="1-law: a link that leads out of the run folder"):
        RunFolder(tmp_path / "run", {}).stage_path("1-law")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_stage_name_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(RunFolderError, match="leads out of the run folder"):
        RunFolder(tmp_path / "run", {}).stage_path("../../1-law")
    assert not (tmp_path / "1-law").exists()


def test_a_run_folder_may_itself_be_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    assert RunFolder(tmp_path / "run", {}).stage_path("1-law").is_dir()

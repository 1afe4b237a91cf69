"""Folders that are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.storage import replace_folder


def fill(folder: Path, text: str) -> None:
    with replace_folder(folder) as part:
        (part / "file").write_text(text)


def test_a_folder_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    for text in ("first", "second"):
        fill(folder, text)
        assert (folder / "file").read_text() == text
    assert list(tmp_path.iterdir()) == [folder]


def test_what_a_kill_between_the_renamings_put_aside_survives_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    fill(folder, "first")
    folder.rename(tmp_path / ".kept.old")  # as the kill left it

    with pytest.raises(OSError, match="full"), replace_folder(folder):
        raise OSError("the disk is full")
    assert (folder / "file").read_text() == "first"
    fill(folder, "second")
    assert (folder / "file").read_text() == "second"

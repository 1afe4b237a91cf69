"""The wheel holds all that the code needs at run time, and works without the repository."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

import forgetless

ROOT = Path(__file__).parents[1]
PACKAGE = Path(forgetless.__file__).parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network: the back end is there with the other tools."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*build, str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def test_every_file_of_the_package_and_every_page_of_a_method_is_in_the_wheel(wheel: Path) -> None:
    files = {
        f"forgetless/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    pages = {f"forgetless/methods/pages/{path.name}" for path in ROOT.glob("docs/methods/*.md")}
    with ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert "forgetless/methods/pages/ewc.md" in pages
    assert inside == files | pages


def test_the_wheel_says_what_pyproject_says(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    told = metadata(wheel)
    assert (told["Version"], told["Requires-Python"]) == (project["version"], ">=3.11")
    assert told["License-Expression"] == "Apache-2.0"
    assert set(told.get_all("Provides-Extra") or []) == {*project["optional-dependencies"]}


def test_the_readme_can_be_shown_where_packages_are_listed(wheel: Path) -> None:
    check = [sys.executable, "-m", "twine", "check", "--strict", str(wheel)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_is_installed_runs_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = (
        "import sys; sys.path.insert(0, 'installed')\n"
        "import forgetless; assert 'installed' in forgetless.__file__\n"
        "from forgetless.tasks.bundled import bundled_rows\n"
        "assert len(bundled_rows('medical_facts', 'test')) > 100\n"
        "sys.argv = ['forgetless', 'methods', 'ewc']\n"
        "from forgetless.__main__ import main; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "Fisher" in done.stdout

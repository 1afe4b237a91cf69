"""What a run leaves on disk, and who may write there.

The manifest says what is finished; a file that it does not name is unfinished work.  It is replaced
atomically, after the files that it speaks of are safely written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgetless.circumstances import machine, threads, versions
from forgetless.errors import RunFolderError
from forgetless.layout import MANIFEST, MATRIX, PLAN, stage_folder
from forgetless.locking import locked
from forgetless.models.source import file_hash
from forgetless.plan import Plan, load_plan
from forgetless.plan.differences import differences
from forgetless.processes import first_does
from forgetless.storage import make_folder, write_json, write_text

if TYPE_CHECKING:
    from forgetless.models.load import LoadedModel
    from forgetless.tasks.task import Task

FORMAT = 1
CARD = "README.md"


class RunFolder:
    """An open run folder; made by :func:`open_run`.

    Attributes:
        path: The folder.
        manifest: Its manifest, as plain data; change it and call :meth:`save`.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    def save(self) -> None:
        """Replace the manifest on disk; what the first process says holds for all."""

        def written() -> dict[str, Any]:
            write_json(self.path / MANIFEST, self.manifest)
            return self.manifest

        self.manifest = first_does(written)

    def stage_path(self, name: str) -> Path:
        """Folder of a stage, made if absent."""
        path = stage_folder(self.path, name)
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise RunFolderError(
                f"{path}: a link that leads out of the run folder", fix="delete the link"
            )
        make_folder(path)
        return path

    def entry(self, name: str) -> dict[str, Any] | None:
        """What the manifest says of a stage, or None before it was trained."""
        entries: list[dict[str, Any]] = self.manifest["stages"]
        return next((entry for entry in entries if entry["name"] == name), None)

    def record(self, entry: dict[str, Any]) -> None:
        """Add a stage to the manifest, or replace what it says of it; then save."""
        entries: list[dict[str, Any]] = self.manifest["stages"]
        kept = [other for other in entries if other["name"] != entry["name"]]
        self.manifest["stages"] = sorted([*kept, entry], key=lambda other: int(other["index"]))
        self.manifest.update(state="running", finished=None)
        self.save()

    def describe(self, loaded: LoadedModel, tasks: Sequence[Task]) -> None:
        """Note what is known of the model and the renderings once the model is loaded.

        The model is the untouched one: what a later stage left may have adapters as well.
        """
        if "parameters" not in self.manifest["model"]:
            parameters = list(loaded.model.parameters())
            self.manifest["model"] |= {
                "parameters": sum(parameter.numel() for parameter in parameters),
                "dtype": str(parameters[0].dtype).removeprefix("torch."),
            }
        self.manifest["machine"]["threads"] = threads()
        for entry, task in zip(self.manifest["tasks"], tasks, strict=True):
            entry["rendering"] = task.style(loaded.tokenizer)

    def describe_hosted(self, renderings: Mapping[str, str]) -> None:
        """Note what can be known of a model that a provider keeps: how each task is put to it."""
        self.manifest["model"] |= {"parameters": None, "dtype": ""}
        for entry in self.manifest["tasks"]:
            entry["rendering"] = renderings[entry["name"]]

    def describe_as(self, other: Mapping[str, Any]) -> None:
        """Note what another run's manifest says of the same model and tasks."""
        self.manifest["model"] = dict(other["model"])
        renderings = {task["name"]: task["rendering"] for task in other["tasks"]}
        for entry in self.manifest["tasks"]:
            entry["rendering"] = renderings.get(entry["name"], entry["rendering"])

    def finish(self) -> None:
        """Write the matrix of all rows, also where it was deleted, and mark the run finished."""
        finished = self.manifest["state"] == "finished"
        if not finished or not first_does((self.path / MATRIX).is_file):
            self.write_matrix()
        if not finished:
            self.manifest.update(state="finished", finished=_now())
            self.save()

    def write_matrix(self, *, intervals: bool = True) -> None:
        """Replace ``matrix.json`` by the score matrix of the rows there are."""
        from forgetless.metrics import matrix_to_json
        from forgetless.result import RunResult

        def written() -> None:
            matrix = RunResult(self.path).matrix
            write_json(self.path / MATRIX, matrix_to_json(matrix, intervals=intervals))

        first_does(written)

    def verify(self, name: str, *parts: str) -> Path:
        """The folder of a trained stage, files of some parts found to be those that were written.

        Args:
            name: The stage.
            parts: Subfolders that are looked at.

        Raises:
            RunFolderError: naming the damaged file.
        """

        def check() -> None:
            for file in self.damaged(name, *parts):
                raise RunFolderError(
                    f"{file}: not the file that was written when the stage was trained",
                    fix=f"delete {self.path} and run again",
                )

        first_does(check)
        return stage_folder(self.path, name)

    def damaged(self, name: str, *parts: str) -> Iterator[Path]:
        """Files of a stage and of subfolders of it that are not, or no more, what was written."""
        for file, expected in (self.entry(name) or {}).get("files", {}).items():
            path = stage_folder(self.path, name) / file
            if Path(file).name == CARD:  # of an older version, which noted it
                continue
            if Path(file).parts[0] in parts and (not path.is_file() or file_hash(path) != expected):
                yield path

    def sound(self, name: str, *files: str) -> tuple[str, ...]:
        """Those of some files of a stage that are on record, and still what was written."""

        def found() -> tuple[str, ...]:
            noted = (self.entry(name) or {}).get("files", {})
            return tuple(f for f in files if f in noted and not any(self.damaged(name, f)))

        return first_does(found)


def hash_files(folder: Path, *parts: str) -> dict[str, str]:
    """SHA-256 of some files and of those below some subfolders, by path relative to ``folder``.

    Model cards are left out: they are written anew when a stage is scored.
    """
    return {
        file.relative_to(folder).as_posix(): file_hash(file)
        for part in parts
        for file in sorted([folder / part, *(folder / part).rglob("*")])
        if file.is_file() and file.name != CARD
    }


@contextmanager
def open_run(path: Path, plan: Plan, facts: Mapping[str, Any]) -> Iterator[RunFolder]:
    """Open the folder of a plan's run, new or unfinished, for this process and its like alone.

    Args:
        path: The folder.
        plan: The resolved plan.
        facts: What else identifies the run, kept in the manifest (label, model, tasks).

    Raises:
        RunFolderError: if it holds results of another plan or is in use.
    """
    with ExitStack() as held:

        def opened() -> dict[str, Any]:
            make_folder(path)
            held.enter_context(locked(path, "--set output=runs/other"))
            return _manifest(path, plan, facts)

        yield RunFolder(path, first_does(opened))


def _manifest(path: Path, plan: Plan, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest on disk if it is this plan's, or a new one where no stage is on record yet."""
    file = path / MANIFEST
    if not file.is_file():
        strangers = [p.name for p in path.iterdir() if not p.name.startswith(".")]
        ours = path / PLAN  # left by a kill before the manifest; anyone else's is not ours
        if ours.is_file() and ours.read_text(encoding="utf-8") == plan.to_yaml():
            strangers.remove(PLAN)
        if strangers:
            raise RunFolderError(
                f"{path}: not a run folder, it holds {sorted(strangers)[0]!r}",
                fix="name an empty or new folder:  --set output=runs/other",
            )
        return _new_manifest(path, plan, facts)
    manifest = read_manifest(file)
    if not manifest["stages"]:
        return _new_manifest(path, plan, facts)
    if manifest["plan_sha256"] != plan.fingerprint():
        raise RunFolderError(
            f"{path}: holds results of another plan: {_difference(path, plan)}",
            fix="name another folder:  --set output=runs/other  (demo: --output), or delete this",
        )
    write_text(path / PLAN, plan.to_yaml())  # it may differ in what decides no result
    renderings = {task["name"]: task["rendering"] for task in manifest["tasks"]}
    tasks = [
        task | {"rendering": renderings.get(task["name"], task["rendering"])}
        for task in facts["tasks"]
    ]
    return manifest | {"tasks": tasks}


def _new_manifest(path: Path, plan: Plan, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Begin a run: its plan and a manifest without stages, both on disk."""
    write_text(path / PLAN, plan.to_yaml())
    manifest = {
        "format": FORMAT,
        "name": path.name,
        **facts,
        "state": "running",
        "seed": plan.training.seed,
        "created": _now(),
        "finished": None,
        "versions": versions(),
        "machine": machine(),
        "plan_sha256": plan.fingerprint(),
        "stages": [],
        "warnings": [],
    }
    write_json(path / MANIFEST, manifest)
    return manifest


def read_manifest(file: Path) -> dict[str, Any]:
    """A manifest, whole enough to go on from.

    Raises:
        RunFolderError: if it is missing or damaged.
    """
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise RunFolderError(
                f"{file}: format {manifest['format']!r}, needed {FORMAT}",
                fix="name another folder:  --set output=runs/other, or go on with the forgetless "
                "that wrote this one",
            )
        for key in ("plan_sha256", "stages", "tasks", "model"):
            manifest[key]
        for stage in manifest["stages"]:
            for key in ("index", "name", "state", "fingerprint", "scoring_fingerprint", "files"):
                stage[key]
    except FileNotFoundError:
        raise RunFolderError(
            f"{file.parent}: not a run folder, it holds no {MANIFEST}",
            fix="name a folder written by  forgetless run",
        ) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise RunFolderError(
            f"{file}: damaged", fix="restore it, or delete the folder and run again"
        ) from None
    return manifest


def _difference(path: Path, plan: Plan) -> str:
    """The first settings in which the plan in the folder differs from this one."""
    try:
        found = differences(load_plan(path / PLAN).decisive(), plan.decisive())
    except Exception:  # the message must not fail on a damaged plan.yaml
        return "its settings differ"
    parts = [f"{key} is {there!r} there and {here!r} here" for key, there, here in found[:3]]
    return "; ".join(parts) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

"""What the hub, or what was kept of it, says about a repository: its commit and its licence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from forgetless.models.source import SMOLLM2_HUB, SMOLLM2_PACKAGE, ModelSource
from forgetless.storage import write_text

RepoKind = Literal["model", "dataset"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
PATIENCE = 10.0  # seconds


def reachable() -> bool:
    """Whether the hub answers; without a network its library would ask again for half a minute."""
    import huggingface_hub
    from huggingface_hub import constants

    try:
        huggingface_hub.get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # no network, or it is not to be used
        return False
    return True


def commit_of(name: str, revision: str | None, kind: RepoKind = "model") -> str | None:
    """The commit that a branch, a tag or the main branch of a repository stands for now.

    Args:
        name: Of the repository.
        revision: Branch, tag or commit; the main branch if none.
        kind: What it holds.

    Returns:
        The commit: from the hub, or without a network from what was downloaded before; None where
        neither knows.
    """
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    import huggingface_hub

    try:
        found = huggingface_hub.HfApi().repo_info(
            name, repo_type=kind, revision=revision, timeout=PATIENCE
        )
    except Exception:  # no network, no such repository, no permission: loading it says which
        return _kept(name, revision or "main", kind)
    if not found.sha:
        return None
    _keep(name, revision or "main", kind, str(found.sha))
    return str(found.sha)


def _downloads(name: str, kind: RepoKind) -> Path:
    """Where huggingface_hub keeps what it downloaded of a repository."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type=kind)


def _kept(name: str, revision: str, kind: RepoKind) -> str | None:
    """What the branch was when the repository was last downloaded."""
    from huggingface_hub.errors import HFValidationError

    try:
        file = _downloads(name, kind) / "refs" / revision
        found = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError, HFValidationError):
        return None
    return found if _COMMIT.fullmatch(found) else None


def _keep(name: str, revision: str, kind: RepoKind, commit: str) -> None:
    """Note what the branch is: a download by its commit, as ours are, does not.

    Another commit stays noted until this one is there, for whoever has no network then.
    """
    folder = _downloads(name, kind)
    file = folder / "refs" / revision
    if ".." in revision:  # no name that git allows, and a way out of the folder
        return
    if file.is_file() and not (folder / "snapshots" / commit).is_dir():
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, commit)
    except OSError:  # a cache that is only read
        return


def public_name(source: ModelSource) -> str | None:
    """The name on the hub of a model, or of an adapter's base; None if it is from elsewhere."""
    base = source.base or source
    if base.kind == "hub":
        return base.location
    packaged = base.kind == "gguf" and SMOLLM2_PACKAGE in Path(base.location).parts
    return SMOLLM2_HUB if packaged else None


def licence_of(source: ModelSource, revision: str | None) -> str | None:
    """The licence that a model's own card names; None where there is no card at hand.

    Args:
        source: The model; of an adapter, its base.
        revision: Commit of a model from the hub, whose card is looked for among the downloads.
    """
    base = source.base or source
    if base.kind == "gguf":
        return "apache-2.0" if public_name(source) else None  # as its package says
    if base.kind == "folder":
        found = _licences_in(Path(base.location) / "README.md")
    elif base.kind == "hub":
        found = _licences_kept(base.location, revision, "model")
    else:  # a provider's
        return None
    return found[0] if len(found) == 1 else None  # the hub takes one for a model


def dataset_licence(name: str, revision: str | None) -> str | None:
    """What the card of a dataset says of its licence, or None where no card was downloaded.

    Args:
        name: Of the repository.
        revision: Its commit.
    """
    return ", ".join(_licences_kept(name, revision, "dataset")) or None


def _licences_kept(name: str, revision: str | None, kind: RepoKind) -> list[str]:
    """Licences that the card of a repository names, if it was downloaded."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "README.md", revision=revision, repo_type=kind)
    except HFValidationError:
        return []
    return _licences_in(Path(found)) if isinstance(found, str) else []


def _licences_in(card: Path) -> list[str]:
    from huggingface_hub import metadata_load

    try:
        known: Any = metadata_load(card) or {}
    except (OSError, ValueError):
        return []
    found = known.get("license")
    listed = found if isinstance(found, list) else [found]
    return [licence for licence in listed if isinstance(licence, str)]

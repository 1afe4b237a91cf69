"""Put a saved model on the hub."""

from __future__ import annotations

from pathlib import Path

from forgetless.errors import RunFailed, UsageError


def check_repository(name: str) -> None:
    """Refuse a name that no repository can have, or a session that is logged in nowhere.

    Raises:
        UsageError: saying what is wrong.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UsageError(
            f"--push-to-hub {name}: {error}", fix="name it  OWNER/NAME,  e.g.  me/medical-legal"
        ) from None
    if get_token() is None:
        raise UsageError(
            "--push-to-hub: no token of the hub was found",
            fix="hf auth login, or set HF_TOKEN",
        )


def push_to_hub(folder: Path, name: str) -> str:
    """Upload a folder as one commit; a repository that is not there is made, and private.

    Args:
        folder: A model or an adapter with its card.
        name: The repository.

    Returns:
        The address of the commit.

    Raises:
        RunFailed: if the hub cannot be reached or refuses; the model stays where it is.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    disable_progress_bars()
    api = HfApi()
    try:
        api.create_repo(name, private=True, exist_ok=True)
        found = api.upload_folder(
            repo_id=name, folder_path=folder, commit_message="A model and what it was measured at"
        )
    except (HfHubHTTPError, OSError, ValueError) as error:
        told = str(error).strip().splitlines()
        raise RunFailed(
            f"--push-to-hub {name}: {told[0] if told else type(error).__name__}; the model is in "
            f"{folder}",
            fix="mend it and run the same command again: only the upload is repeated",
        ) from error
    return str(found.commit_url)

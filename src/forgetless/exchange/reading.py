"""Results of another tool, recognised by their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from forgetless.errors import DataError
from forgetless.exchange.imported import Imported
from forgetless.exchange.inspect_logs import has_inspect_logs, read_inspect
from forgetless.exchange.lm_eval_results import has_lm_eval_results, read_lm_eval


def is_results_folder(path: str | Path) -> bool:
    """Whether a path holds results that can be read; files are hardly opened for that."""
    path = Path(path)
    try:
        return (path.is_dir() and has_lm_eval_results(path)) or (
            path.exists() and has_inspect_logs(path)
        )
    except OSError:
        return False


def read_results(path: str | Path, metrics: Mapping[str, str] | None = None) -> Imported:
    """Read the newest results of a folder of lm-evaluation-harness or of inspect.

    Args:
        path: The folder, or a single log of inspect.
        metrics: Task to the metric or scorer that counts, where the first is not the one wanted.

    Raises:
        DataError: if there are none, of both tools, of several models, or malformed ones.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such folder", fix="check the path")
    lm_eval, inspect = path.is_dir() and has_lm_eval_results(path), has_inspect_logs(path)
    if lm_eval and inspect:
        raise DataError(
            f"{path}: results of lm-evaluation-harness and logs of inspect; needed those of one",
            fix="move them to folders of their own",
        )
    if lm_eval:
        return read_lm_eval(path, metrics)
    if inspect:
        return read_inspect(path, metrics)
    raise DataError(
        f"{path}: no results; needed results_*.json with samples_*.jsonl of lm-evaluation-harness, "
        "or .eval or .json logs of inspect",
        fix="name the folder that  lm_eval --output_path  or  inspect eval --log-dir  wrote",
    )

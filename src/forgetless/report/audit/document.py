"""An audit as JSON, and back: ``audit.json`` holds everything, so that it can be shown anew.

Format 1: the fields of :class:`~forgetless.auditing.result.Audit` by their names, all the way down,
and before them::

    format     1; raised when a field changes its meaning or goes
    gate       kept, broken, inconclusive or failed
    exit_code  what the command ended with: 0, 3, 4 or 1
    line       the outcome in one line

What was not measured is null, with the reason beside it; never 0 and never NaN.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forgetless.auditing.result import Audit
from forgetless.errors import RunFolderError
from forgetless.report.audit.phrases import gate_line
from forgetless.report.plain_data import as_plain, read_document

FORMAT = 1
NAME = "audit.json"


def audit_document(audit: Audit) -> dict[str, Any]:
    """The audit as plain JSON values.

    Args:
        audit: What was found.
    """
    return {
        "format": FORMAT,
        "gate": audit.gate,
        "exit_code": audit.exit_code,
        "line": gate_line(audit),
        **as_plain(audit),
    }


def render_audit_json(audit: Audit) -> str:
    """The audit as the text of a JSON file; one that any JSON reader accepts.

    Raises:
        ValueError: if a number in it is not finite.
    """
    # ASCII only: a lone surrogate in a model's output has no other way into a file.
    return json.dumps(audit_document(audit), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def read_audit(path: Path) -> Audit:
    """Read an audit back; it equals the one that was written.

    Fields that this version does not know are passed over.

    Args:
        path: The file, or the folder that holds it as ``audit.json``.

    Raises:
        RunFolderError: if there is none, it is of a later format, or a field is not what it must
            be; the message names the field.
    """
    file = path / NAME if path.is_dir() else path
    command = "forgetless audit BEFORE AFTER --output FOLDER"
    audit = read_document(file, Audit, FORMAT, command)
    labels, tasks = {after.label for after in audit.afters}, {task.name for task in audit.tasks}
    told = {found.after for found in audit.comparisons}
    judged = [{verdict.task for verdict in found.verdicts} for found in audit.comparisons]
    if not told or told != labels or any(names != tasks for names in judged):
        raise RunFolderError(
            f"{file}: its comparisons are not of the models and tasks that it names",
            fix=f"make it again: {command}",
        )
    return audit

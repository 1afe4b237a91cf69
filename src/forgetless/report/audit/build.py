"""Write an audit down: four files, each whole or absent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forgetless.auditing.result import Audit
from forgetless.report.audit.document import NAME, render_audit_json
from forgetless.report.audit.html import render_audit_html
from forgetless.report.audit.junit import render_junit
from forgetless.report.audit.markdown import render_audit_markdown
from forgetless.storage import disk_faults_explained, make_folder, write_text


@dataclass(frozen=True, slots=True)
class AuditFiles:
    """What was written.

    Attributes:
        json: Everything, for a program; can be read back.
        html: The page for a person.
        markdown: The comment for a pull request.
        junit: The test report for a pipeline.
    """

    json: Path
    html: Path
    markdown: Path
    junit: Path


def write_audit_report(audit: Audit, folder: Path) -> AuditFiles:
    """Write audit.json, report.html, report.md and junit.xml.

    Everything is rendered before the first file is touched.  Each is written under a temporary name
    beside its place, flushed and renamed: whoever reads it, and whenever this process is killed,
    finds the old file or the new one.

    Args:
        audit: What was found.
        folder: Where the files go; made if need be.

    Raises:
        RunFailed: if the disk is full or cannot be written.
    """
    files = AuditFiles(
        json=folder / NAME,
        html=folder / "report.html",
        markdown=folder / "report.md",
        junit=folder / "junit.xml",
    )
    contents = {
        files.json: render_audit_json(audit),
        files.html: render_audit_html(audit),
        files.markdown: render_audit_markdown(audit),
        files.junit: render_junit(audit),
    }
    with disk_faults_explained(folder):
        make_folder(folder)
        for path, text in contents.items():
            write_text(path, text)
    return files

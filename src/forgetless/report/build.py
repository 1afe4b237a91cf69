"""Write the report: three files, each whole or absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forgetless.report.analysis import Report, analyse
from forgetless.report.document import render_json
from forgetless.report.html import render_html
from forgetless.report.markdown import render_markdown
from forgetless.report.run_folder import read_run
from forgetless.report.verdict import Verdict, reach_verdict
from forgetless.storage import make_folder, write_text


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """What was written, and what it says.

    Attributes:
        html: The page for a person.
        markdown: The comment for a pull request.
        json: Everything, for a program.
        report: What the files were made from.
        verdict: The two sentences.
    """

    html: Path
    markdown: Path
    json: Path
    report: Report
    verdict: Verdict


def write_report(runs: Sequence[Path], out: Path) -> ReportFiles:
    """Read run folders and write report.html, report.md and report.json.

    Everything is computed and rendered before the first file is touched.  Each is written under a
    temporary name beside its place, flushed and renamed: whoever reads it, and whenever this
    process is killed, finds the old file or the new one.

    Args:
        runs: One or several run folders over the same tasks.
        out: Folder for the files; made if need be.

    Raises:
        RunFolderError: if a run cannot be read, or the runs cannot stand side by side.
        OSError: if the files cannot be written.
    """
    report = analyse([read_run(Path(folder)) for folder in runs])
    verdict = reach_verdict(report)
    contents = {
        "report.json": render_json(report, verdict),
        "report.md": render_markdown(report, verdict),
        "report.html": render_html(report, verdict),
    }
    make_folder(out)
    for name, text in contents.items():
        write_text(out / name, text)
    return ReportFiles(
        html=out / "report.html",
        markdown=out / "report.md",
        json=out / "report.json",
        report=report,
        verdict=verdict,
    )

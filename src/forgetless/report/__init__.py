"""From the folders of runs to a report for a person, a pull request and a program.

    files = write_report([Path("runs/plain"), Path("runs/replay")], Path("runs/report"))
    print(files.verdict)

:func:`read_run` reads what a run left on disk, :func:`analyse` computes everything that is said
about it, :func:`reach_verdict` puts that into two sentences; the renderers only write it down.
"""

from forgetless.report.analysis import Arm, Report, analyse
from forgetless.report.build import ReportFiles, write_report
from forgetless.report.data import RunResults
from forgetless.report.document import render_json, report_document
from forgetless.report.html import render_html
from forgetless.report.markdown import render_markdown
from forgetless.report.outcome import TaskOutcome
from forgetless.report.run_folder import read_run
from forgetless.report.terminal import TerminalReport
from forgetless.report.verdict import Verdict, reach_verdict

__all__ = [
    "Arm",
    "Report",
    "ReportFiles",
    "RunResults",
    "TaskOutcome",
    "TerminalReport",
    "Verdict",
    "analyse",
    "reach_verdict",
    "read_run",
    "render_html",
    "render_json",
    "render_markdown",
    "report_document",
    "write_report",
]

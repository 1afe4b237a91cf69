"""How an audit is shown: in a terminal, as a page, as a comment, to a pipeline and to a program.

files = write_audit_report(audit, Path("audits/tuned"))
console.print(TerminalAudit(audit))
again = read_audit(files.json)
"""

from forgetless.report.audit.build import AuditFiles, write_audit_report
from forgetless.report.audit.document import audit_document, read_audit, render_audit_json
from forgetless.report.audit.html import render_audit_html
from forgetless.report.audit.junit import render_junit
from forgetless.report.audit.markdown import render_audit_markdown
from forgetless.report.audit.phrases import gate_line
from forgetless.report.audit.terminal import TerminalAudit

__all__ = [
    "AuditFiles",
    "TerminalAudit",
    "audit_document",
    "gate_line",
    "read_audit",
    "render_audit_html",
    "render_audit_json",
    "render_audit_markdown",
    "render_junit",
    "write_audit_report",
]

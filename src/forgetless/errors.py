"""Everything that can go wrong, as one small tree.

Every message says where the fault is, what was found and what was needed; ``fix`` says what to do
next.  The branch decides the exit code of the command line: what the user can mend in the input
ends with 2, what broke while working ends with 1.

    ForgetlessError
    ├── UsageError           exit code 2: refused, mostly before anything starts
    │   ├── PlanError        an unknown key, a wrong value, methods that cannot work together
    │   ├── DataError        a missing file, a malformed row, an empty split
    │   ├── ModelError       a model that cannot be found, read or used for what was asked
    │   └── RunFolderError   a folder of another plan, or in use by a live process
    ├── RunFailed            exit code 1: stopped while working; what was finished is kept
    │   ├── TrainingFailed   a loss that is not a number
    │   └── FailedElsewhere  another process of the same run failed, and says why
    └── NotMeasured          a figure that does not exist for these results, with the reason
"""

from __future__ import annotations


class ForgetlessError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: Where, what was found, what was needed.
        fix: What the user can type or change next; shown on a line of its own.
    """

    exit_code = 1

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return self.message if self.fix is None else f"{self.message}\n  fix: {self.fix}"


class UsageError(ForgetlessError):
    """The input is at fault; found before work starts, or when a later stage comes to it.

    Stages that were finished before are kept.
    """

    exit_code = 2


class PlanError(UsageError):
    """The plan, or a combination of methods in it, cannot be carried out."""


class DataError(UsageError):
    """A data source cannot be read, or a row is not what it must be."""


class ModelError(UsageError):
    """A model cannot be found, read, or used for what was asked."""


class RunFolderError(UsageError):
    """The run folder holds other results, or another process is using it."""


class RunFailed(ForgetlessError):
    """Work stopped part-way; everything finished before is on disk."""


class TrainingFailed(RunFailed):
    """Optimisation broke down; the last good state is kept."""


class FailedElsewhere(RunFailed):
    """Another process of the same run failed; it has told the reason."""


class NotMeasured(ForgetlessError):
    """A figure that these results cannot give; the message is the reason."""

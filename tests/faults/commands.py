"""Commands as they are typed, for a forked process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable


def commanded(*arguments: object) -> Callable[[], None]:
    """A command, as it is typed; what it says goes to files in the working folder."""

    def command() -> None:
        from forgetless.cli import main

        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        logging.getLogger().handlers.clear()  # pytest would keep what is logged for itself
        sys.argv = ["forgetless", *map(str, arguments)]
        main()

    return command

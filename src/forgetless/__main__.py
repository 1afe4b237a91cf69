"""``python -m forgetless``, and the command ``forgetless``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still being imported leaves no traceback either."""
    try:
        from forgetless import cli
    except KeyboardInterrupt:
        sys.stderr.write("error: stopped\n")
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()

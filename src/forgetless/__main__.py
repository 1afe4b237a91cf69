"""``python -m forgetless``."""

from forgetless.cli import main

if __name__ == "__main__":
    main()

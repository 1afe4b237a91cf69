"""What results were computed with: versions of packages, and the machine."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("forgetless", "torch", "transformers", "peft", "accelerate", "datasets", "safetensors")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the results."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # pragma: no cover - all are dependencies
            continue
    return found


def machine() -> dict[str, str | int]:
    """The system, the processor, and the threads that are computed with."""
    return {
        "platform": platform.platform(terse=True),
        "processor": platform.machine(),
        "threads": threads(),
    }


def threads() -> int:
    """Threads that torch computes with, if it is loaded; otherwise the cores there are."""
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch is not None else (os.cpu_count() or 1)

"""Carry plans out one after another, to be launched as several processes.

python -m torch.distributed.run --nproc_per_node 2 --standalone -m tests.integration.launched PLANS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import forgetless


def main(plans: Path) -> None:
    for settings in json.loads(plans.read_text(encoding="utf-8")):
        forgetless.run(**settings)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Random numbers that go on as if nobody had drawn any in between."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def same_chances(model: Any) -> Iterator[None]:
    """Random numbers of Python, NumPy and torch go on afterwards as if none had been drawn.

    Args:
        model: Those of its device are put back, too.
    """
    import numpy as np
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    device = next(model.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)

from __future__ import annotations

import numpy as np
import pytest

from forgetless.metrics import holm


def test_holm_multiplies_the_smallest_by_the_number_of_tests_and_stays_in_order() -> None:
    # Sorted: 0.01*4, 0.02*3, max(0.06, 0.02*2), 0.5*1.
    assert holm([0.02, 0.5, 0.01, 0.02]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_one_test_needs_no_adjustment() -> None:
    assert holm([0.03]) == [0.03]


def test_of_twenty_tests_of_nothing_any_is_significant_in_one_audit_of_twenty() -> None:
    rng = np.random.default_rng(0)
    alarms = [min(holm(rng.random(20).tolist())) <= 0.05 for _ in range(2000)]
    assert 0.035 <= np.mean(alarms) <= 0.065

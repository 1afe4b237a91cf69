"""The controller: one price for losses, raised while a task is over budget and lowered after.

    log2 price  <-  clip(log2 price + clip(excess, -1, 1), 0, 6)

where excess is the worst task's loss beyond its budget, counted in budgets.  The price first buys
protection: what a plan's methods weigh is weighed up to 8 times as much.  What they cannot take
buys time: optimiser steps get shorter, to an eighth at the least.  A price of 1 leaves the plan as
it is.

Source: dual ascent on the constraint "loss <= budget", in its multiplicative form (Arora, Hazan and
Kale 2012, Theory of Computing 8).  Differs: excess is clipped, for a task that has lost everything
says no more than one that has lost much, and the price never falls below the plan's own strengths.
"""

from __future__ import annotations

MOST_DOUBLINGS = 6.0
MOST_EMPHASIS = 8.0
BOUND = 1.0


def next_price(price: float, excess: float) -> float:
    """The price after a check.

    Args:
        price: The price so far, at least 1.
        excess: The worst task's loss beyond its budget, in budgets.

    Example:
        >>> next_price(1.0, 0.5), next_price(4.0, 9.0), next_price(1.0, -0.7)
        (1.4142135623730951, 8.0, 1.0)
    """
    doubled = max(-BOUND, min(BOUND, excess))
    return float(min(2.0**MOST_DOUBLINGS, max(1.0, price * 2.0**doubled)))


def emphasis(price: float, *, protected: bool) -> float:
    """By how much protections are strengthened; 1 where there are none to strengthen."""
    return min(price, MOST_EMPHASIS) if protected else 1.0


def step_share(price: float, *, protected: bool) -> float:
    """What is left of every optimiser step, in [1/8, 1]."""
    return max(1 / MOST_EMPHASIS, emphasis(price, protected=protected) / price)

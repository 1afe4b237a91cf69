"""What asking cost, where prices are given."""

from __future__ import annotations

from forgetless.evaluation.subject import Usage


def cost(usage: Usage, price_in: float, price_out: float) -> float:
    """What the tokens counted cost.

    ``(input_tokens * price_in + output_tokens * price_out) / 1e6``

    Args:
        usage: Tokens as the endpoint counted them.
        price_in: Price of a million input tokens, in any currency.
        price_out: Price of a million output tokens, in the same.

    Returns:
        The cost in that currency; too low if the endpoint counts no tokens.

    >>> cost(Usage(requests=1, input_tokens=2_000_000, output_tokens=500_000), 0.5, 2.0)
    2.0
    """
    return (usage.input_tokens * price_in + usage.output_tokens * price_out) / 1e6

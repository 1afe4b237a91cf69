"""Numbers, intervals and lists as a person reads them, the same in every form of the report."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.metrics import Unit

MINUS = "\N{MINUS SIGN}"
ABSENT = "\N{EM DASH}"


def number(value: float, *, signed: bool = False) -> str:
    """A score or a difference of scores with two decimals.

    A value that is not zero never reads as ``0.00``: it gets a third decimal.

    Example:
        >>> number(0.7849), number(-0.004), number(0.05, signed=True), number(-0.00001)
        ('0.78', '−0.004', '+0.05', '0.00')
    """
    text = f"{abs(value):.2f}"
    if float(text) == 0:
        finer = f"{abs(value):.3f}"
        text = finer if float(finer) else text
    if float(text) == 0:
        return text
    sign = MINUS if value < 0 else "+" if signed else ""
    return sign + text


def score(value: float, unit: Unit) -> str:
    """A score in running text, with its unit where it is not an accuracy.

    Example:
        >>> score(0.5, "accuracy"), score(-2.305, "nats")
        ('0.50', '−2.31 nats per token')
    """
    return number(value) if unit == "accuracy" else f"{number(value)} nats per token"


def interval(low: float, high: float, *, signed: bool = False) -> str:
    """Both ends of an interval.

    Example:
        >>> interval(-0.01, 0.88)
        '−0.01 to 0.88'
    """
    return f"{number(low, signed=signed)} to {number(high, signed=signed)}"


def count(value: int, singular: str, plural: str | None = None) -> str:
    """A number of things.

    Example:
        >>> count(1, "item"), count(1200, "item")
        ('1 item', '1,200 items')
    """
    return f"{value:,} {singular if value == 1 else plural or singular + 's'}"


def listing(parts: Sequence[str], *, most: int | None = None, noun: str = "others") -> str:
    """Parts joined as in a sentence.

    Example:
        >>> listing(["a", "b", "c"]), listing(["a", "b", "c", "d"], most=2)
        ('a, b and c', 'a, b and 2 others')
    """
    shown = list(parts)
    if most is not None and len(shown) > most + 1:
        shown = [*shown[:most], f"{len(parts) - most} {noun}"]
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def quantity(value: float) -> str:
    """A count or a setting, as short as it can be told.

    Example:
        >>> quantity(1234567.0), quantity(0.0005), quantity(0.25), quantity(12.0)
        ('1,234,567', '0.0005', '0.25', '12')
    """
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """A length of time.

    Example:
        >>> duration(7.25), duration(95.0), duration(7500.0)
        ('7.2 s', '1 min 35 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        whole = round(seconds)
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def scale(parameters: int) -> str:
    """A number of weights.

    Example:
        >>> scale(134_515_008), scale(8_030_261_248), scale(900)
        ('135 M', '8.0 B', '900')
    """
    for step, sign in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if parameters >= step:
            amount = parameters / step
            return f"{amount:.1f} {sign}" if amount < 10 else f"{amount:.0f} {sign}"
    return str(parameters)


def clipped(text: str, most: int) -> str:
    """At most so many characters on one line, the rest told by an ellipsis.

    Example:
        >>> clipped("medical shorthand", 10)
        'medical s…'
    """
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"

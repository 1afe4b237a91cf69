"""The colours of the report: a colour-blind-safe scale for scores, and one hue per arm.

The scale runs in one hue from the page's own colour to a strong blue, evenly in the perceptual
space OKLab, so that order is carried by lightness alone and survives every kind of colour
blindness, a grey print and a photocopy.  The arms differ in lightness and mark shape as well as in
hue (after Okabe and Ito, "Color Universal Design", 2008), darkened or lightened until they
contrast with the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Theme = Literal["light", "dark"]
Triple = tuple[float, float, float]

LEVELS = 21
PAGE: dict[Theme, str] = {"light": "#ffffff", "dark": "#13161a"}
INK: dict[Theme, str] = {"light": "#191d22", "dark": "#e8eaed"}
_SCALE: dict[Theme, tuple[str, ...]] = {
    "light": ("#f1f5fa", "#a9c6e8", "#4a86c5", "#0e3f7c"),
    "dark": ("#1d242d", "#23497a", "#4d8fd6", "#d3e6fb"),
}
ARMS: dict[Theme, tuple[str, ...]] = {
    "light": ("#b8480a", "#0a67a8", "#04735a", "#8f3f86", "#7a5c00", "#4d4fb5"),
    "dark": ("#f5925a", "#62b3f0", "#3fc9a0", "#dd94d4", "#d9b54a", "#a5a7ff"),
}
"""One colour per arm; the first is for plain sequential training."""
REFERENCE: dict[Theme, str] = {"light": "#59626d", "dark": "#a3adb8"}
"""Joint training: a reference line, not a competitor."""


@dataclass(frozen=True, slots=True)
class Shade:
    """One step of the score scale: a background and the ink that can be read on it."""

    fill: str
    ink: str


def shades(theme: Theme) -> tuple[Shade, ...]:
    """The score scale, lowest first.

    Returns:
        ``LEVELS`` steps, evenly spaced in lightness.
    """
    anchors = tuple(oklab(colour) for colour in _SCALE[theme])
    steps = []
    for step in range(LEVELS):
        fill = _to_hex(_at_lightness(anchors, step / (LEVELS - 1)))
        ink = max(("#ffffff", "#000000"), key=lambda sign: contrast(fill, sign))
        steps.append(Shade(fill, ink))
    return tuple(steps)


def level(share: float) -> int:
    """The step of the scale for a position in its range, 0 to 1; outside is cut off."""
    return round(min(max(share, 0.0), 1.0) * (LEVELS - 1))


def contrast(one: str, two: str) -> float:
    """Contrast ratio of two colours, 1 to 21.

    Source: WCAG 2.2, "contrast ratio" and "relative luminance".

    Example:
        >>> contrast("#ffffff", "#000000")
        21.0
    """
    bright, dim = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def stylesheet() -> str:
    """The colours as CSS: custom properties per theme, and a class per step of the scale."""

    def block(theme: Theme) -> str:
        arms = "".join(f"--arm-{i}:{colour};" for i, colour in enumerate(ARMS[theme]))
        scale = "".join(
            f"--h{i}:{shade.fill};--i{i}:{shade.ink};" for i, shade in enumerate(shades(theme))
        )
        return (
            f":root{{--page:{PAGE[theme]};--ink:{INK[theme]};"
            f"--reference:{REFERENCE[theme]};{arms}{scale}}}"
        )

    steps = "".join(
        f".h{i}{{background:var(--h{i});color:var(--i{i})}}.f{i}{{fill:var(--h{i})}}"
        for i in range(LEVELS)
    )
    arms = "".join(f".a{i}{{--arm:var(--arm-{i})}}" for i in range(len(ARMS["light"])))
    return (
        f"{block('light')}@media screen and (prefers-color-scheme:dark){{{block('dark')}}}"
        f"{steps}{arms}.a-ref{{--arm:var(--reference)}}"
    )


def _at_lightness(anchors: tuple[Triple, ...], share: float) -> Triple:
    """The colour on the broken line through the anchors at a share of its lightness range."""
    wanted = anchors[0][0] + (anchors[-1][0] - anchors[0][0]) * share
    for one, two in pairwise(anchors):
        rest = (wanted - one[0]) / (two[0] - one[0])
        if rest <= 1 or two is anchors[-1]:
            mixed = [a + (b - a) * min(rest, 1.0) for a, b in zip(one, two, strict=True)]
            return mixed[0], mixed[1], mixed[2]
    raise AssertionError("the last anchor ends the loop")


def _linear(colour: str) -> Triple:
    """``#rrggbb`` to linear-light RGB, each 0 to 1."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return red, green, blue


def _luminance(colour: str) -> float:
    red, green, blue = _linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def oklab(colour: str) -> Triple:
    """A colour's lightness (0 to 1) and its two opponent hues.

    Source: Ottosson, "A perceptual color space for image processing", 2020.
    """
    red, green, blue = _linear(colour)
    cone_l = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    cone_m = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    cone_s = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * cone_l + 0.7936177850 * cone_m - 0.0040720468 * cone_s,
        1.9779984951 * cone_l - 2.4285922050 * cone_m + 0.4505937099 * cone_s,
        0.0259040371 * cone_l + 0.7827717662 * cone_m - 0.8086757660 * cone_s,
    )


def _to_hex(colour: Triple) -> str:
    light, a, b = colour
    cone_l = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3
    cone_m = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3
    cone_s = (light - 0.0894841775 * a - 1.2914855480 * b) ** 3
    parts = (
        4.0767416621 * cone_l - 3.3077115913 * cone_m + 0.2309699292 * cone_s,
        -1.2684380046 * cone_l + 2.6097574011 * cone_m - 0.3413193965 * cone_s,
        -0.0041960863 * cone_l - 0.7034186147 * cone_m + 1.7076147010 * cone_s,
    )
    signs = ""
    for part in parts:
        cut = min(max(part, 0.0), 1.0)
        curved = cut * 12.92 if cut <= 0.0031308 else 1.055 * cut ** (1 / 2.4) - 0.055
        signs += f"{round(curved * 255):02x}"
    return f"#{signs}"

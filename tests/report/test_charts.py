"""Pictures are drawn true to scale, can be read by everyone, and their labels stay apart."""

from __future__ import annotations

import random
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from forgetless.report.charts import colour
from forgetless.report.charts.axis import axis, score_range
from forgetless.report.charts.curves import Curve, CurvePicture, Measured, draw_curves
from forgetless.report.charts.kept import KeptPicture, KeptPoint, draw_kept
from forgetless.report.charts.labels import Box, place_around, spread
from forgetless.report.charts.marks import SHAPES, arm_style
from forgetless.report.charts.svg import Node, path

FRAME = Box(40, 20, 290, 280)


def parsed(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(markup)  # noqa: S314 (we have just drawn it)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_shade_of_the_scale_can_be_read(theme: colour.Theme) -> None:
    for shade in colour.shades(theme):
        assert colour.contrast(shade.fill, shade.ink) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_scale_runs_evenly_in_lightness(theme: colour.Theme) -> None:
    lightness = [colour.oklab(shade.fill)[0] for shade in colour.shades(theme)]
    steps = [b - a for a, b in pairwise(lightness)]
    assert all(step * steps[0] > 0 for step in steps)
    assert max(map(abs, steps)) < 1.3 * min(map(abs, steps))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_arm_stands_out_from_the_page(theme: colour.Theme) -> None:
    for shade in (*colour.ARMS[theme], colour.REFERENCE[theme]):
        assert colour.contrast(shade, colour.PAGE[theme]) >= 4.5


def test_the_first_four_arms_differ_in_colour_and_in_shape() -> None:
    styles = [arm_style(place) for place in range(4)]
    assert len({style.class_ for style in styles}) == 4
    assert {style.shape for style in styles} == set(SHAPES)


def test_positions_beyond_the_scale_take_its_ends() -> None:
    assert [colour.level(share) for share in (-1, 0, 0.5, 1, 2)] == [0, 0, 10, 20, 20]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, (0, 0.25, 0.5, 0.75, 1)),
        (-3.2, -1.1, (-3, -2.5, -2, -1.5)),
        (-0.02, 0.31, (0, 0.1, 0.2, 0.3)),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, ticks: tuple[float, ...]) -> None:
    assert axis(low, high, 0, 100).ticks == pytest.approx(ticks)


def test_an_axis_is_linear_and_keeps_to_its_edges() -> None:
    up = axis(-2, 0, 100, 0)
    assert [up(-2), up(-1.5), up(0), up(-9), up(9)] == [100, 75, 0, 100, 0]
    assert up.spelled(-1.5) == "−1.5"


def test_accuracies_share_one_range_and_log_likelihoods_fit_theirs() -> None:
    assert score_range("accuracy", [0.4, 0.5]) == (0.0, 1.0)
    low, high = score_range("nats", [-3.0, -1.0])
    assert low < -3.0
    assert high > -1.0
    assert score_range("nats", [-2.0, -2.0])[0] < -2.0


@pytest.mark.parametrize("seed", [*range(30), 57, 111, 184, 190])
def test_labels_cover_neither_each_other_nor_the_frame(seed: int) -> None:
    rng = random.Random(seed)
    crowded = seed % 2
    points = [
        (rng.uniform(250, 290) if crowded else rng.uniform(45, 325), rng.uniform(25, 295))
        for _ in range(8)
    ]
    sizes = [(rng.uniform(30, 115), 15.0) for _ in points]
    placed = place_around(points, sizes, FRAME)
    for one, two in combinations(placed, 2):
        assert one.box.overlap(two.box) < 1e-6
    for put in placed:
        assert put.box.outside(FRAME) < 1e-6


def test_labels_of_points_on_one_spot_stay_apart() -> None:
    placed = place_around([(300, 40)] * 8, [(100, 15)] * 8, FRAME)
    assert all(a.box.overlap(b.box) < 1e-6 for a, b in combinations(placed, 2))


def test_a_lone_label_stands_beside_its_point() -> None:
    (placed,) = place_around([(100, 100)], [(50, 15)], FRAME)
    assert not placed.far
    assert placed.box.y == 92.5
    assert placed.box.x + 50 == 92 or placed.box.x == 108


@pytest.mark.parametrize("seed", range(20))
def test_spread_positions_keep_their_order_gap_and_bounds(seed: int) -> None:
    rng = random.Random(seed)
    wanted = [rng.uniform(0, 100) for _ in range(5)]
    found = spread(wanted, gap=14, low=0, high=100)
    ordered = [found[i] for i in sorted(range(5), key=wanted.__getitem__)]
    assert all(b - a >= 14 - 1e-9 for a, b in pairwise(ordered))
    assert ordered[0] >= -1e-9
    assert ordered[-1] <= 100 + 1e-9


def test_positions_that_are_apart_are_not_moved() -> None:
    assert spread([50.0, 10.0, 30.0], gap=14, low=0, high=100) == [50.0, 10.0, 30.0]


def test_two_that_collide_give_way_alike() -> None:
    assert spread([50.0, 52.0], gap=10, low=0, high=100) == [46.0, 56.0]


def test_what_is_drawn_is_escaped() -> None:
    node = Node.new("g", data_name='"><script>')
    node.add("text", "</svg><script>alert(1)</script>\x00\ud800")
    markup = node.__html__()
    assert "<script" not in markup
    parsed(markup)
    markup.encode()


def test_paths_are_short() -> None:
    assert path([(0.04, 1.25), (-0.01, 3)]) == "M0 1.2L0 3"


def curve_picture(points: list[Measured | None]) -> ElementTree.Element:
    picture = CurvePicture(
        identifier="c",
        task="law",
        unit="accuracy",
        stages=["base", "law", "tax"],
        trained_in=1,
        curves=[Curve("replay", arm_style(1), points)],
        reference=(0.5, arm_style(0)),
        range=(0.0, 1.0),
    )
    return parsed(draw_curves(picture).__html__())


def found(root: ElementTree.Element, class_: str) -> list[ElementTree.Element]:
    return [node for node in root.iter() if class_ in node.get("class", "").split()]


def test_a_curve_has_its_band_and_names_its_numbers() -> None:
    root = curve_picture(
        [Measured(0.1, 0.0, 0.2), Measured(0.9, 0.8, 1.0), Measured(0.4, 0.3, 0.5)]
    )
    assert len(found(root, "line")) == 1
    assert len(found(root, "band")) == 1
    assert len(found(root, "ring")) == 1
    description = root.findtext("desc") or ""
    assert "replay: base 0.10, law 0.90, tax 0.40." in description
    assert "learned in stage 1, law" in description
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == root.find("title").get("id")  # type: ignore[union-attr]


def test_a_curve_is_broken_where_it_was_not_measured() -> None:
    root = curve_picture([Measured(0.1, 0.0, 0.2), None, Measured(0.4, 0.3, 0.5)])
    assert found(root, "line") == []
    assert len(found(root, "mark")) == 2
    assert "law not measured" in (root.findtext("desc") or "")


def test_marks_stand_where_their_scores_are() -> None:
    root = curve_picture([Measured(0.0), Measured(1.0), Measured(0.5)])
    grid = sorted(float(line.get("y1", "nan")) for line in found(root, "grid"))
    line = found(root, "line")[0].get("d", "")
    heights = [float(point.split()[1]) for point in line.removeprefix("M").split("L")]
    assert heights == pytest.approx([grid[-1], grid[0], (grid[0] + grid[-1]) / 2])


def test_on_the_diagonal_nothing_was_lost() -> None:
    picture = KeptPicture(
        identifier="k",
        label="replay",
        style=arm_style(0),
        unit="accuracy",
        points=[
            KeptPoint("law", Measured(0.8), Measured(0.8)),
            KeptPoint("tax", Measured(0.8), Measured(0.3, 0.2, 0.4)),
            KeptPoint("general", Measured(0.5), Measured(0.5), trained=False),
        ],
        others=[(0.1, 0.1)],
        range=(0.0, 1.0),
    )
    root = parsed(draw_kept(picture).__html__())
    stems = [abs(float(s.get("y1", 0)) - float(s.get("y2", 0))) for s in found(root, "stem")]
    assert stems[0] == stems[2] == 0
    start, end = found(root, "diagonal")[0].get("d", "").removeprefix("M").split("L")
    height = abs(float(start.split()[1]) - float(end.split()[1]))
    assert stems[1] == pytest.approx(height / 2, abs=0.2)
    assert len(found(root, "hollow")) == 1
    assert len(found(root, "bar")) == 1
    assert len(found(root, "ghost")) == 1
    assert "tax: 0.80 when learned, 0.30 at the end." in (root.findtext("desc") or "")
    assert "general: 0.50 before any training" in (root.findtext("desc") or "")


def test_names_of_tasks_learned_alike_stand_in_the_order_of_what_was_kept() -> None:
    kept = {
        "medical shorthand": 0.681,
        "contract-law": 0.688,
        "chemistry_names": 0.696,
        "cooking": 0.712,
        "poetry": 0.742,
        "support tickets": 0.9,
    }
    points = [
        KeptPoint(name, Measured(0.9), Measured(score, score - 0.06, score + 0.05))
        for name, score in kept.items()
    ]
    points.append(KeptPoint("general", Measured(0.7), Measured(0.59, 0.53, 0.65), trained=False))
    picture = KeptPicture("k", "replay", arm_style(0), "accuracy", points, [], (0.0, 1.0))
    root = parsed(draw_kept(picture).__html__())
    heights = [float(name.get("y", "nan")) for name in found(root, "name")][:6]
    assert heights == sorted(heights, reverse=True)

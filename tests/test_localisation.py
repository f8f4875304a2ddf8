"""Pixel metrics against cases worked out by hand, and against a plain count over all thresholds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st
from localisations import Images, aupimo, aupro, cases, images, relaxed

from bench import localisation
from bench.errors import BenchError
from bench.localisation import localised, upsampled


@relaxed
@given(cases())
def test_areas_are_what_counting_over_every_threshold_gives(case: Images) -> None:
    maps, masks = case
    found = localised(maps, masks)
    assert found["aupro_30"] == pytest.approx(aupro(maps, masks, 0.3), abs=1e-6)
    assert found["aupro_05"] == pytest.approx(aupro(maps, masks, 0.05), abs=1e-6)
    normal = any(not mask.any() for mask in masks)
    event(f"a normal image: {normal}")
    assert ("aupimo" in found) == normal
    if normal:
        assert found["aupimo"] == pytest.approx(aupimo(maps, masks, *localisation.PIMO_BOUNDS), abs=1e-6)


@relaxed
@given(cases(), st.sampled_from([(0.001, 0.05), (0.05, 0.2), (0.1, 0.9)]), st.sampled_from([1, 20, 10**6]))
def test_areas_over_the_logarithm_are_so_where_few_pixels_resolve_them(
    case: Images, bounds: tuple[float, float], pooled: int
) -> None:
    maps, masks = case
    assume(any(not mask.any() for mask in masks))
    with patch.object(localisation, "PIMO_BOUNDS", bounds), patch.object(localisation, "POOLED", pooled):
        assert localised(maps, masks)["aupimo"] == pytest.approx(aupimo(maps, masks, *bounds), abs=1e-6)


@relaxed
@given(cases(), st.sampled_from([lambda s: 3 * s - 5, lambda s: s**3, lambda s: np.exp(s / 100)]))
def test_metrics_depend_on_the_order_of_the_scores_alone(case: Images, rising: Callable[..., np.ndarray]) -> None:
    maps, masks = case
    assert localised([rising(scores.astype(np.float64)) for scores in maps], masks) == localised(maps, masks)


def row(*scores: float) -> np.ndarray:
    return np.array([scores], dtype=np.float64)


def marked(pattern: str) -> np.ndarray:
    """A mask from lines of # and ., which blanks part."""
    return np.array([[sign == "#" for sign in line] for line in pattern.split()])


def test_what_is_found_before_any_false_alarm_is_worth_one() -> None:
    masks = [marked("#..#"), marked("....")]
    maps = [mask.astype(np.float32) for mask in masks]
    assert localised(maps, masks) == dict.fromkeys(
        ("pixel_auroc", "pixel_average_precision", "aupro_30", "aupro_05", "aupimo"), 1.0
    )


def test_what_is_found_last_is_worth_nothing() -> None:
    masks = [marked("#...#"), marked(".....")]
    found = localised([1.0 - mask for mask in masks], masks)
    assert found == {
        "pixel_auroc": 0, "pixel_average_precision": pytest.approx(0.2), "aupro_30": 0, "aupro_05": 0, "aupimo": 0,
    }  # fmt: skip


def test_equal_scores_make_one_slanted_line() -> None:
    masks = [marked("##.."), marked("....")]
    with patch.dict(localisation.PRO_LIMITS, third=1 / 3):
        found = localised([np.full((1, 4), 7.0), np.full((1, 4), 7.0)], masks)
    assert found["pixel_auroc"] == 0.5
    assert found["pixel_average_precision"] == 0.25
    assert found["third"] == pytest.approx(
        1 / 6
    )  # the overlap is the rate itself: half of the limit is its mean up to it
    assert found["aupro_30"] == pytest.approx(0.15)
    assert found["aupro_05"] == pytest.approx(0.025)
    assert found["aupimo"] == pytest.approx((1e-4 - 1e-5) / np.log(10))


def test_a_limit_cuts_a_slanted_line() -> None:
    # both anomalous pixels score 2 as does one normal of two: a line from (0, 0) to (0.5, 1), which is 0.6 at 0.3
    found = localised([row(2, 2, 2, 1)], [marked("##..")])
    assert found["aupro_30"] == pytest.approx(0.3)
    assert found["aupro_05"] == pytest.approx(0.05)


def test_a_limit_cuts_a_line_sideways() -> None:
    # half of the region, then one false alarm of four, the rest of the region, and the other normal pixels
    found = localised([row(9, 7, 8, 1, 1, 1)], [marked("##....")])
    assert found["aupro_30"] == pytest.approx((0.25 * 0.5 + 0.05 * 1) / 0.3)
    assert found["aupro_05"] == pytest.approx(0.5)


def test_regions_count_alike_however_large_they_are() -> None:
    found = localised([row(9, 1, 1, 9, 1, 1, 1)], [marked("#..#.##")])
    assert found["aupro_05"] == pytest.approx((2 + 0.025) / 3, abs=1e-12)


def test_regions_touch_by_corners() -> None:
    scores, mask = np.ones((2, 4)), marked("##.. ..#.")
    scores[1, 2] = 9
    assert localised([scores], [mask])["aupro_05"] == pytest.approx(1 / 3 + 2 / 3 * 0.025)


def test_regions_of_two_images_are_two_though_they_lie_on_the_same_pixels() -> None:
    maps, mask = [row(9, 9, 1), row(1, 1, 1)], marked("##.")
    assert localised(maps, [mask, mask])["aupro_05"] == pytest.approx(1 / 2 + 1 / 2 * 0.025)


def test_a_mask_may_cover_its_image() -> None:
    found = localised([row(9, 1), row(5, 2, 2, 2)], [marked("##"), marked("....")])
    assert found["aupro_05"] == pytest.approx(0.5)
    assert found["pixel_auroc"] == 0.5


def test_aupimo_asks_normal_images_alone_and_each_alike() -> None:
    # one normal image of ten pixels has a false alarm, one of a thousand has none: the rate is 0.05
    quiet = np.zeros((1, 1000))
    alarmed = row(3, *[0] * 9)
    maps = [row(5, 9, 9, 9), row(2, 9, 9, 9), alarmed, quiet]
    masks = [marked("#..."), marked("#..."), np.zeros((1, 10), dtype=bool), np.zeros((1, 1000), dtype=bool)]
    with patch.object(localisation, "PIMO_BOUNDS", (0.01, 0.05)):
        assert localised(maps, masks)["aupimo"] == pytest.approx(0.5)
    # the false alarm found, so is the second image
    with patch.object(localisation, "PIMO_BOUNDS", (0.01, 0.5)):
        assert localised(maps, masks)["aupimo"] == pytest.approx((np.log(5) * 0.5 + np.log(10) * 1.0) / np.log(50))


def test_without_normal_images_there_is_no_aupimo() -> None:
    assert "aupimo" not in localised([row(2, 1)], [marked("#.")])


def test_a_plateau_stays_one() -> None:
    flat = np.full((3, 5), np.float32(0.1))
    assert np.unique(upsampled(flat, (17, 23))).tolist() == [np.float32(0.1)]


def test_maps_are_held_against_masks_at_the_masks_size() -> None:
    maps, masks = images(2, 1, 64)
    small = [scores[::4, ::4] for scores in maps]
    assert localised(small, masks) == localised([upsampled(scores, (64, 64)) for scores in small], masks)


class Made(Sequence[np.ndarray]):
    """Arrays that are made each time they are asked for."""

    def __init__(self, make: Callable[[int], np.ndarray], count: int) -> None:
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        if index >= self.count:
            raise IndexError(index)
        return self.make(index)


def test_memory_holds_few_images_however_many_there_are() -> None:
    side, count = 128, 100
    spot = np.zeros((side, side), dtype=bool)
    spot[:8, :8] = True
    maps = Made(lambda index: np.random.default_rng(index).random((side, side), dtype=np.float32), count)
    masks = Made(lambda index: spot & (index % 2 == 0), count)
    localised(Made(maps.make, 2), Made(masks.make, 2))  # imports
    with patch.object(localisation, "POOLED", side**2):
        tracemalloc.start()
        found = localised(maps, masks)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert found == pytest.approx(localised([*maps], [*masks]), abs=1e-12)
    assert peak < count * side**2 * 4 / 2


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        ([row(1, 2)], [], "1 score maps for 0 masks"),
        ([row(1, 2)], [marked("..")], "none of 1 masks has an anomalous pixel"),
        ([row(1, 2)], [marked("##")], "none of 1 masks has a normal pixel"),
        ([row(1, np.nan)], [marked("#.")], "score map 0 has pixels that are not finite"),
        ([np.ones(2)], [marked("#.")], r"score map 0 is float64 \(2,\)"),
        ([np.ones((1, 2), dtype=int)], [marked("#.")], "score map 0 is int64"),
        ([row(1, 2)], [np.array([[1, 0]])], "mask 0 is int64"),
    ],
)
def test_what_is_no_map_and_no_mask_is_named(maps: list[np.ndarray], masks: list[np.ndarray], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        localised(maps, masks)

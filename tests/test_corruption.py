"""Corruptions of test images: what each does, what they leave alone, and that jobs and records keep them apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from bench.corruption import KINDS, Corruption, parse_corruption
from bench.errors import BenchError

LABELS = np.array([0, 1] * 10, dtype=np.uint8)
PLACES = np.arange(100, 120)
KIND = st.sampled_from(sorted(KINDS))
SEVERITY = st.integers(1, 5)


def photographs(seed: int, channels: int = 3, side: int = 32) -> np.ndarray:
    """Light and dark places that blend into each other, as in photographs."""
    drawn = np.random.default_rng(seed).normal(size=(20, side, side, channels))
    smooth = gaussian_filter(drawn, (0, 1.5, 1.5, 0), mode="wrap")
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def distance(kind: str, severity: int, images: np.ndarray) -> float:
    made = Corruption(kind, severity)(images, LABELS, PLACES, "made")
    return float(np.abs(made.astype(float) - images).mean())


@settings(deadline=None, max_examples=40)
@given(KIND, SEVERITY, st.sampled_from([1, 3]), st.integers(0, 50))
def test_images_stay_images_and_what_is_drawn_depends_on_their_place_alone(
    kind: str, severity: int, channels: int, seed: int
) -> None:
    images = photographs(seed, channels)
    corruption = Corruption(kind, severity)
    made = corruption(images, LABELS, PLACES, "made")
    assert made.dtype == np.uint8
    assert made.shape == images.shape
    assert (made != images).any()
    assert np.array_equal(corruption(images[5:9], LABELS[5:9], PLACES[5:9], "made"), made[5:9])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_more_severe_is_further_from_the_image(kind: str) -> None:
    images = photographs(0)
    by_severity = [distance(kind, severity, images) for severity in (1, 3, 5)]
    assert by_severity == sorted(by_severity)
    assert by_severity[0] < 0.8 * by_severity[2]


def test_only_normal_images_are_corrupted_where_that_is_asked_for() -> None:
    images = photographs(1)
    made = Corruption("gaussian_noise", 3, "normal")(images, LABELS, PLACES, "made")
    assert np.array_equal(made[LABELS == 1], images[LABELS == 1])
    assert all((one != other).any() for one, other in zip(made[LABELS == 0], images[LABELS == 0], strict=True))
    both = Corruption("gaussian_noise", 3)(images, LABELS, PLACES, "made")
    assert np.array_equal(both[LABELS == 0], made[LABELS == 0])


def test_large_images_have_the_levels_of_imagenet_c() -> None:
    assert distance("gaussian_blur", 1, photographs(0, side=128)) > 2 * distance("gaussian_blur", 5, photographs(0)) / 4
    noisy = Corruption("gaussian_noise", 5)(np.full((20, 128, 128, 1), 128, np.uint8), LABELS, PLACES, "made")
    assert noisy.std() / 255 == pytest.approx(0.35, abs=0.05), "0.38, less what is cut off at black and white"


def test_brightness_keeps_hue_and_saturation() -> None:
    image = np.array([[[[100, 50, 0], [0, 0, 0]]]], dtype=np.uint8)
    made = Corruption("brightness", 5)(image, LABELS[:1], PLACES[:1], "made")[0, 0]
    assert made[0] == pytest.approx([176, 88, 0], abs=1)
    assert made[1] == pytest.approx([76, 76, 76], abs=1)


@pytest.mark.parametrize("text", ["gaussian_noise(severity=3)", "jpeg(only='normal',severity=5)"])
def test_a_spec_comes_back_as_it_was(text: str) -> None:
    assert str(parse_corruption(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gausian_noise(severity=3)", r"no corruption called 'gausian_noise'; did you mean gaussian_noise"),
        ("jpeg", r"severity is 1, 2, 3, 4 or 5; write jpeg\(severity=3\)"),
        ("jpeg(severity=6)", "severity is 1, 2, 3, 4 or 5"),
        ("jpeg(severity=True)", "severity is 1, 2, 3, 4 or 5"),
        ("jpeg(quality=3)", "no parameter of jpeg called 'quality'"),
        ("jpeg(severity=3,only='anomalous')", "no test images to corrupt called 'anomalous'"),
    ],
)
def test_what_does_not_exist_is_answered_with_what_does(text: str, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        parse_corruption(text)

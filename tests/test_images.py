"""Resizing as Pillow does it, scaling, and contrast normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from bench.images import contrast_normalised, flattened, resized, symmetric

RANDOM = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def pillow(images: np.ndarray, size: int) -> np.ndarray:
    """The images, one after the other, through Pillow."""
    grey = images.shape[3] == 1
    scaled = [
        np.asarray(Image.fromarray(image[..., 0] if grey else image).resize((size, size), Image.Resampling.BILINEAR))
        for image in images
    ]
    return np.stack(scaled).reshape(len(images), size, size, images.shape[3])


@pytest.mark.parametrize(
    ("height", "width", "size"), [(8, 8, 32), (28, 28, 32), (64, 64, 32), (40, 24, 32), (33, 47, 16), (300, 200, 32)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_resized_images_are_pillows_within_one_grey_level(height: int, width: int, size: int, channels: int) -> None:
    images = noise(3, height, width, channels)
    found = resized(images, size)
    assert found.dtype == np.uint8
    assert found.shape == (3, size, size, channels)
    assert np.abs(found.astype(int) - pillow(images, size).astype(int)).max() <= 1


def test_images_of_the_wanted_size_stay_as_they_are() -> None:
    images = noise(2, 16, 16, 3)
    assert np.array_equal(resized(images, 16), images)


def test_an_image_is_resized_alike_whatever_images_go_with_it() -> None:
    images = noise(1030, 4, 4, 1)  # more than one part
    whole = resized(images, 8)
    for place in (0, 1023, 1024, 1029):
        assert np.array_equal(resized(images[place : place + 1], 8), whole[place : place + 1])


def test_no_images_are_resized_to_no_images() -> None:
    assert resized(noise(0, 8, 8, 1), 16).shape == (0, 16, 16, 1)


def test_resizing_leaves_its_input_as_it_was() -> None:
    images = noise(2, 8, 8, 1)
    before = images.copy()
    images.flags.writeable = False  # as the arrays are that jobs map from disk
    resized(images, 16)
    assert np.array_equal(images, before)


def test_symmetric_maps_the_grey_levels_onto_minus_one_to_one() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    found = symmetric(levels)
    assert (found[0], found[-1]) == (-1, 1)
    assert torch.allclose(found.diff(), torch.tensor(2 / 255), atol=1e-6)
    assert levels[3] == 3


def test_flattened_rows_are_pixels_in_zero_to_one() -> None:
    images = np.array([[[[0], [51]], [[102], [255]]]], dtype=np.uint8)
    rows = flattened(images)
    assert rows.dtype == np.float32
    assert rows == pytest.approx(np.array([[0, 0.2, 0.4, 1]]))


def test_normalised_contrast_has_mean_0_and_mean_deviation_1() -> None:
    found = contrast_normalised(flattened(noise(20, 16, 16, 3)))
    assert found.dtype == np.float32
    assert found.mean(axis=1) == pytest.approx(np.zeros(20), abs=1e-5)
    assert np.abs(found).mean(axis=1) == pytest.approx(np.ones(20), abs=1e-5)


def test_normalised_contrast_does_not_change_with_brightness_and_contrast() -> None:
    rows = flattened(noise(20, 16, 16, 1) // 2)
    assert contrast_normalised(0.3 * rows + 0.4) == pytest.approx(contrast_normalised(rows), abs=1e-4)


@pytest.mark.parametrize("pixels", [64, 784, 1024, 3072])
def test_a_constant_image_has_no_contrast_at_any_grey_level(pixels: int) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1)
    rows = flattened(np.broadcast_to(levels, (256, pixels, 1, 1)))
    assert not contrast_normalised(rows).any()


def test_the_contrast_of_an_image_does_not_depend_on_the_others() -> None:
    rows = flattened(noise(20, 8, 8, 1))
    assert np.array_equal(contrast_normalised(rows)[7:8], contrast_normalised(rows[7:8]))

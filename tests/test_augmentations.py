"""Augmentations: each image is changed by its own draws, within the ranges that were asked for, and no otherwise."""

from __future__ import annotations

import colorsys
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods._augmentations import YIQ, Augmentation, changed, mirrored

pytestmark = pytest.mark.usefixtures("one_thread")


def augmentation(**given: Any) -> Augmentation:
    return Augmentation("cpu", **{"area": (1.0, 1.0), "strength": 0.0, "hue": 0.0, "greyed": 0.0, **given})


def pictures(count: int, channels: int = 3, size: int = 8) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.6


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_asked_changes_nothing(channels: int) -> None:
    x = pictures(5, channels)
    for changes in (augmentation().draw(5), augmentation(strength=0.4, hue=0.5).none()):
        assert changed(x, changes).numpy() == pytest.approx(x.numpy(), abs=1e-5)


@given(least=st.floats(0.05, 1.0), ratio=st.floats(1.0, 2.0), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_crops_lie_within_the_image_and_have_their_share_of_it(least: float, ratio: float, seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        crop = augmentation(area=(least, 1.0), ratio=ratio).draw(50).crop
    width, height, right, down = crop[:, 0, 0], crop[:, 1, 1], crop[:, 0, 2], crop[:, 1, 2]
    assert ((right.abs() + width).max(), (down.abs() + height).max()) <= (1 + 1e-5, 1 + 1e-5)
    assert (width / height).max() <= ratio + 1e-4
    assert (height / width).max() <= ratio + 1e-4
    fitting = (width < 1) & (height < 1)  # one that would be wider than the image is as wide as it
    assert ((width * height)[fitting] >= least - 1e-5).all()


def test_a_crop_is_what_lies_there_enlarged() -> None:
    ramp = torch.linspace(-0.75, 0.75, 4).expand(1, 1, 4, 4)
    changes = augmentation().none()
    half = changes._replace(crop=torch.tensor([[[0.5, 0.0, 0.25], [0.0, 0.5, 0.0]]]))
    made = changed(ramp, half)
    # places −0.125, 0.125, 0.375, 0.625 of a ramp that is its own place
    assert made[0, 0, 0].tolist() == pytest.approx([-0.125, 0.125, 0.375, 0.625], abs=1e-6)


def test_brightness_and_contrast_are_of_the_pixels_between_black_and_white() -> None:
    x = pictures(4)
    changes = (
        augmentation()
        .none()
        ._replace(
            brightness=torch.full((1, 1, 1, 1), 0.8), contrast=torch.tensor([0.5, 1.0, 1.5, 3.0])[:, None, None, None]
        )
    )
    pixels = (x.numpy() + 1) / 2 * 0.8
    means = pixels.mean(axis=(1, 2, 3), keepdims=True)
    wanted = np.clip(means + np.array([0.5, 1.0, 1.5, 3.0])[:, None, None, None] * (pixels - means), 0, 1) * 2 - 1
    assert changed(x, changes).numpy() == pytest.approx(wanted, abs=1e-5)


def test_a_turned_hue_keeps_the_brightness_and_half_a_turn_is_the_other_colour() -> None:
    """As colorsys has YIQ."""
    augmented = augmentation()
    pixel = (0.5, 0.4, 0.45)
    for turns in (0.1, 0.5):
        angle = torch.tensor([2 * math.pi * turns])
        matrix = augmented._colour(angle.cos(), angle.sin())[0].numpy()
        y, i, q = colorsys.rgb_to_yiq(*pixel)
        cos, sin = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns)
        wanted = colorsys.yiq_to_rgb(y, cos * i - sin * q, sin * i + cos * q)
        assert matrix @ np.array(pixel) == pytest.approx(wanted, abs=0.01)  # colorsys rounds the matrix otherwise
    grey = changed(pictures(6), augmentation(greyed=1.0).draw(6))
    assert grey.std(dim=1).max() < 1e-5
    assert ((grey[:, 0] + 1) / 2).numpy() == pytest.approx(
        np.einsum("c,bchw->bhw", YIQ[0], (pictures(6).numpy() + 1) / 2), abs=1e-4
    )


def test_so_many_images_are_changed_as_were_asked_and_each_otherwise() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = augmentation(strength=0.4, hue=0.1, jittered=0.8, greyed=0.2).draw(4000)
        flipped = mirrored(pictures(1).expand(4000, -1, -1, -1))
    brightness, contrast = drawn.brightness.flatten(), drawn.contrast.flatten()
    assert (brightness != 1).float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert torch.equal(brightness != 1, contrast != 1)
    assert brightness.min() < 0.65 < 1.35 < brightness.max()
    assert brightness.min() >= 0.6
    assert abs(np.corrcoef(brightness, contrast)[0, 1]) < 0.1
    rank_one = torch.linalg.matrix_rank(drawn.colour, tol=1e-3) == 1
    assert rank_one.float().mean().item() == pytest.approx(0.2, abs=0.03)
    kept = (flipped == pictures(1)).flatten(1).all(dim=1)
    assert kept.float().mean().item() == pytest.approx(0.5, abs=0.04)
    assert torch.equal(flipped[~kept][0], pictures(1)[0].flip(2))

"""Geometric transformations: the tables of pixels do what flips, moves and turns of NumPy do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.methods._transforms import ROTATIONS, Transform, Transformer, combined


def pictures(n: int, channels: int, size: int) -> Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(0))


def by_hand(transform: Transform, plane: np.ndarray) -> np.ndarray:
    """A plane mirrored, moved within its mirror images, and turned."""
    plane = np.fliplr(plane) if transform.mirrored else plane
    size = len(plane)
    around = np.pad(plane, size, mode="symmetric")
    top, left = size - transform.down, size - transform.right
    return np.rot90(around[top : top + size, left : left + size], transform.turns)


@given(
    mirrored=st.booleans(),
    down=st.integers(-8, 8),
    right=st.integers(-8, 8),
    turns=st.integers(0, 3),
    channels=st.sampled_from([1, 3]),
)
@settings(deadline=None, max_examples=30)
def test_a_transform_is_what_numpy_makes_of_each_plane(
    mirrored: bool, down: int, right: int, turns: int, channels: int
) -> None:
    transform = Transform(mirrored, down, right, turns)
    x = pictures(2, channels, 8)
    made, numbers = Transformer([transform], 8, "cpu").every(x)
    assert numbers.tolist() == [0, 0]
    for image, result in zip(x.flatten(0, 1).numpy(), made.flatten(0, 1).numpy(), strict=True):
        assert np.array_equal(result, by_hand(transform, image))


@pytest.mark.parametrize(
    ("mirrored", "moved", "count"), [(True, True, 72), (False, True, 36), (True, False, 8), (False, False, 4)]
)
def test_there_are_72_and_fewer_without_mirroring_or_moves(mirrored: bool, moved: bool, count: int) -> None:
    transforms = combined(32, mirrored=mirrored, moved=moved)
    assert len(set(transforms)) == count
    assert transforms[0] == Transform()
    assert {transform.down for transform in transforms} == ({0, -8, 8} if moved else {0})
    assert (transforms == ROTATIONS) == (count == 4)
    made, _ = Transformer(transforms, 32, "cpu").every(pictures(1, 1, 32))
    assert len(made.unique(dim=0)) == count, "no two make the same of an image without symmetries"


def test_every_goes_image_by_image_and_drawn_is_one_of_it_for_each() -> None:
    transformer, x = Transformer(combined(8), 8, "cpu"), pictures(40, 3, 8)
    every, numbers = transformer.every(x)
    assert every.shape == (40 * 72, 3, 8, 8)
    assert torch.equal(every.view(40, 72, 3, 8, 8)[:, 0], x)
    assert numbers.tolist() == [*range(72)] * 40
    torch.manual_seed(0)
    drawn, which = transformer.drawn(x)
    assert torch.equal(drawn, every.view(40, 72, 3, 8, 8)[torch.arange(40), which])
    assert len(which.unique()) > 15

"""Geometric transformations of square images, a batch at once: each is a table of which pixel comes from where."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Transform(NamedTuple):
    """An image mirrored left to right or not, then moved, then turned."""

    mirrored: bool = False
    down: int = 0
    right: int = 0
    """Pixels that it is moved by; what comes into sight is mirrored at the border."""
    turns: int = 0
    """Quarters of a turn, counterclockwise."""


ROTATIONS = tuple(Transform(turns=turns) for turns in range(4))


def combined(size: int, *, mirrored: bool = True, moved: bool = True) -> tuple[Transform, ...]:
    """Rotations of images of size × size, combined with mirroring and with moves by a quarter of the size.

    The identity comes first. With both there are the 72 of Golan and El-Yaniv, Deep anomaly detection using geometric
    transformations, NeurIPS 2018, section 4.
    """
    mirrorings = (False, True) if mirrored else (False,)
    moves = (0, -(size // 4), size // 4) if moved else (0,)
    return tuple(itertools.starmap(Transform, itertools.product(mirrorings, moves, moves, range(4))))


class Transformer:
    """Applies transforms to batches of images of size × size, on a device."""

    def __init__(self, transforms: Sequence[Transform], size: int, device: str) -> None:
        pixels = torch.arange(size * size).view(size, size)
        self.sources = torch.stack([_applied(each, pixels).flatten() for each in transforms]).to(device)
        """(t, size²): for each transform and each pixel of its result, the pixel that it comes from."""

    def every(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Each image under each transform, image by image, and the numbers of these: (b·t, c, size, size), (b·t,)."""
        b, c, size, _ = x.shape
        made = x.flatten(2)[:, :, self.sources].transpose(1, 2)
        return made.reshape(-1, c, size, size), torch.arange(len(self.sources), device=x.device).repeat(b)

    def drawn(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Each image under one transform that is drawn for it, and its number: (b, c, size, size), (b,)."""
        numbers = torch.randint(len(self.sources), (len(x),), device=x.device)
        sources = self.sources[numbers][:, None].expand(-1, x.shape[1], -1)
        return x.flatten(2).gather(2, sources).view_as(x), numbers


def _applied(transform: Transform, pixels: Tensor) -> Tensor:
    """A transform of one plane (size, size)."""
    if transform.mirrored:
        pixels = pixels.flip(1)
    down, right = (_moved(len(pixels), by) for by in (transform.down, transform.right))
    return torch.rot90(pixels[down][:, right], transform.turns)


def _moved(size: int, by: int) -> Tensor:
    """Where the places of a moved line come from; beyond the border lies its mirror image."""
    places = torch.arange(size) - by
    places = torch.where(places < 0, -1 - places, places)
    return torch.where(places >= size, 2 * size - 1 - places, places)

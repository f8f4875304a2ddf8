"""What score maps are, of methods that have them: finite, of their own image alone, and high where something is odd."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.method import Images, Maps, Method
from bench.testing.checks.scores import (
    companions_do_not_matter,
    number_of_images_does_not_matter,
    reconstructions_are_images,
)
from bench.testing.checks.training import saved_and_loaded_scores_alike
from bench.testing.images import TEST
from bench.testing.promise import ConformanceError, NotApplicable, check, require_same
from bench.testing.subject import MIXED, SEED, Subject, scores

FEW = 24
"""Images whose maps are compared."""
SQUARE = 3
"""Side of a painted square, in pixels."""


@check(reconstructions_are_images)
def maps_are_finite(subject: Subject) -> None:
    """Score maps, where there are any, are finite floats (n, height, width), and making them changes no score."""
    fitted = subject.fitted()
    blank = np.stack([np.full(MIXED.shape[1:], level, np.uint8) for level in (0, 128, 255)])
    _maps(fitted.method, np.concatenate([MIXED, blank]))  # what @method lets through is finite, one for each
    require_same(
        scores(fitted.method, MIXED),
        fitted.scores,
        "after the method was asked for maps; let score_map change nothing, and put networks in evaluation mode",
    )


@check(maps_are_finite, companions_do_not_matter, number_of_images_does_not_matter)
def maps_are_of_their_own_image(subject: Subject) -> None:
    """An image's map does not depend on the other images of the call."""
    method = subject.usual.method
    images = MIXED[:: len(MIXED) // FEW]
    wanted = _maps(method, images)
    order = np.random.default_rng(SEED).permutation(len(images))
    advice = "take extremes, means and batch statistics from training images"
    for shown, chosen in (("come in another order", order), ("are every third one", np.arange(0, len(images), 3))):
        require_same(_maps(method, images[chosen]), wanted[chosen], f"when they {shown}; {advice}", "maps")
    alone = np.concatenate([_maps(method, images[i : i + 1]) for i in range(0, len(images), 8)])
    require_same(alone, wanted[::8], f"when each is mapped alone; {advice}", "maps")


@check(maps_are_finite, saved_and_loaded_scores_alike)
def saved_and_loaded_maps_alike(subject: Subject) -> None:
    """What save wrote, load reads into a new object that gives the same maps."""
    method = subject.usual.method
    wanted = _maps(method, MIXED[:FEW])
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        method.save(Path(folder))
        loaded = type(method).load(Path(folder))
    advice = "when the method is saved and loaded; write all that fit set"
    try:
        found = _maps(loaded, MIXED[:FEW])
    except Exception as error:
        raise ConformanceError(f"score_map raises {subject.explained(error)} {advice}") from error
    require_same(found, wanted, advice, "maps")


@check(maps_are_finite)
def maps_show_a_painted_square(subject: Subject) -> None:
    """Maps of normal images with a white square in the dark half are higher inside the square than outside."""
    normal, _ = TEST
    height, width = normal.shape[1:3]
    corners = list(itertools.product(range(height // 2, height - SQUARE + 1), range(width - SQUARE + 1)))
    painted = np.array(normal[: 4 * len(corners)])
    inside = np.zeros(painted.shape[:3], dtype=bool)
    for image, mask, (top, left) in zip(painted, inside, itertools.cycle(corners), strict=False):
        mask[top : top + SQUARE, left : left + SQUARE] = True
        image[mask] = 255
    maps = _maps(subject.usual.method, painted)
    square = _at_the_size_of(maps, inside)
    within, without = float(maps[square].mean()), float(maps[~square].mean())
    if within <= without:
        raise ConformanceError(
            f"the maps are {within:.3g} inside a painted square and {without:.3g} outside, as means; larger must mean "
            "more anomalous: turn the sign round, and let rows be the height and columns the width, as in the images"
        )


def _maps(method: Method, images: Images) -> Maps:
    """What the method says of a copy of the images."""
    maps = method.score_map(np.array(images))
    if maps is None:
        raise NotApplicable("it has no map")
    return maps


def _at_the_size_of(maps: Maps, masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The masks at the maps' resolution: what lies at the middle of each pixel."""
    height, width = maps.shape[1:]
    rows = ((np.arange(height) + 0.5) * masks.shape[1] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * masks.shape[2] / width).astype(int)
    resampled: NDArray[np.bool_] = masks[:, rows][:, :, columns]
    return resampled

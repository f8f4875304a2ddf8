"""How much of a space the level sets of a score take, which hold so much of the normal images.

Goix, How to evaluate the quality of unsupervised anomaly detection algorithms?, ICML 2016 workshop on anomaly
detection; Goix, Sabourin and Clémençon, On anomaly ranking and excess-mass curves, AISTATS 2015. Level sets are {s ≤ t}
here: a score is larger for what is more anomalous.

In the box of all pixels a level set has no volume that uniform draws could find. Goix draws a few features; images have
none, so that here the box is that which held-out images span along the principal directions of the training images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.criterion import Fitted
from bench.method import Images, Scores

Floats = NDArray[np.float64]

STEPS = 1000
"""Of the grids that curves are integrated on."""
MOST = 500
"""Training images, at most, that principal directions are taken of."""


def moved(fitted: Fitted, count: int) -> Images:
    """Held-out images (count, height, width, channels), each moved to a uniformly drawn place of the box that held-out
    images span along the principal directions of the training images; what these do not explain of an image stays."""
    generator = fitted.generator("volume", count)
    shown = generator.permutation(len(fitted.train))[:MOST]
    flat = fitted.train[shown].reshape(len(shown), -1).astype(np.float32)
    mean = flat.mean(axis=0)
    _, _, axes = np.linalg.svd(flat - mean, full_matrices=False)
    held_out = fitted.held_out.reshape(len(fitted.held_out), -1).astype(np.float32)
    places = (held_out - mean) @ axes.T
    drawn = generator.uniform(places.min(axis=0), places.max(axis=0), (count, len(axes))).astype(np.float32)
    chosen = generator.integers(len(held_out), size=count)
    images = held_out[chosen] + (drawn - places[chosen]) @ axes
    return np.rint(images.clip(0, 255)).astype(np.uint8).reshape(count, *fitted.held_out.shape[1:])


def level_sets(normal: Scores, uniform: Scores) -> tuple[Floats, Floats]:
    """Of the level sets that end at each normal score: their shares of the normal images, and of the volume."""
    thresholds = np.unique(normal)
    mass = np.searchsorted(np.sort(normal), thresholds, side="right") / len(normal)
    volume = np.searchsorted(np.sort(uniform), thresholds, side="right") / len(uniform)
    return mass, volume


def excess_mass(normal: Scores, uniform: Scores, least: float = 0.9) -> float:
    """∫ EM(u) du from 0 to where EM falls to ``least``, with EM(u) = max over t of mass(t) − u · volume(t).

    Larger is better. The volume of the whole box is 1; what no draw came into counts as if one had.
    """
    from scipy.integrate import trapezoid

    mass, volume = level_sets(normal, uniform)
    volume = volume.clip(1 / len(uniform))
    last = float(((mass - least) / volume).max())
    u = np.linspace(0, last, STEPS)
    curve = (mass[:, None] - u * volume[:, None]).max(axis=0)
    return float(trapezoid(curve, u))


def mass_volume(normal: Scores, uniform: Scores, least: float = 0.9) -> float:
    """∫ MV(α) dα from ``least`` to 1, with MV(α) the volume of the smallest level set that holds α of the mass.

    Smaller is better. The volume of the whole box is 1.
    """
    mass, volume = level_sets(normal, uniform)
    edges = np.concatenate([[0.0], mass])
    widths = np.diff(edges.clip(least))
    return float(widths @ volume)

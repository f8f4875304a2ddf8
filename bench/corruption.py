"""Common corruptions of test images: noise, blur, brightness, contrast, JPEG, pixelation, at five severities.

Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR 2019.
The levels are those of its CIFAR-10-C for images of up to 64 pixels, and those of its ImageNet-C for larger ones.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, unknown
from bench.randomness import derive_seed
from bench.specs import Spec, parse_spec

if TYPE_CHECKING:
    from PIL import Image

    from bench.method import Images

Which = Literal["all", "normal"]
Level = tuple[float, float, float, float, float]
Pixels = NDArray[np.float64]
"""One image, (height, width, channels), in [0, 1]."""

SMALL = 64
"""Longer side of images, in pixels, up to which the levels are those of CIFAR-10-C."""


@dataclass(frozen=True)
class Corruption:
    """A corruption of test images, of ``all`` or of the ``normal`` ones ``only``, with the anomalies left as they are.

    With ``normal`` a score that takes any change for an anomaly falls below 0.5.
    """

    kind: str
    severity: int
    only: Which = "all"

    def __str__(self) -> str:
        return str(Spec(self.kind, {"severity": self.severity, **({} if self.only == "all" else {"only": self.only})}))

    def __call__(self, images: Images, labels: NDArray[np.uint8], places: NDArray[np.int64], dataset: str) -> Images:
        """Corrupted copies of test images, uint8 as they are.

        What is drawn for an image depends on the dataset's name, the corruption and the image's place in the dataset:
        every method, class and protocol meets the same ones.
        """
        seed = derive_seed("corruption", dataset, self.kind, self.severity)
        level = LEVELS[self.kind][max(images.shape[1:3]) > SMALL][self.severity - 1]
        made = np.array(images)
        for number in np.flatnonzero((labels == 0) | (self.only == "all")):
            generator = np.random.default_rng([seed, int(places[number])])
            pixels = KINDS[self.kind](images[number] / 255.0, level, generator)
            made[number] = np.rint(np.clip(pixels, 0, 1) * 255)
        return made


def parse_corruption(text: str) -> Corruption:
    """The corruption of a spec such as ``gaussian_noise(severity=3)``.

    Raises BenchError for a kind, a severity or a parameter that does not exist.
    """
    spec = parse_spec(text)
    if spec.name not in KINDS:
        raise unknown("corruption", spec.name, KINDS)
    for name in spec.parameters:
        if name not in ("severity", "only"):
            raise unknown(f"parameter of {spec.name}", name, ["severity", "only"])
    severity, only = spec.parameters.get("severity"), spec.parameters.get("only", "all")
    if not isinstance(severity, int) or isinstance(severity, bool) or not 1 <= severity <= 5:
        raise BenchError(f"{text}: severity is 1, 2, 3, 4 or 5; write {spec.name}(severity=3)")
    if only not in get_args(Which):
        raise unknown("test images to corrupt", str(only), get_args(Which))
    return Corruption(spec.name, severity, "normal" if only == "normal" else "all")


def _gaussian_noise(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    return pixels + generator.normal(0, level, pixels.shape)


def _shot_noise(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    return generator.poisson(pixels * level) / level


def _impulse_noise(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    hit, salt = generator.random((2, *pixels.shape))
    return np.where(hit < level, (salt < 0.5).astype(float), pixels)


def _gaussian_blur(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    from scipy.ndimage import gaussian_filter

    blurred: Pixels = gaussian_filter(pixels, (level, level, 0), mode="nearest")
    return blurred


def _brightness(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    """Adds to V of HSV; hue and saturation stay."""
    value = pixels.max(axis=2, keepdims=True)
    lighter = np.minimum(value + level, 1)
    return np.where(value > 0, pixels * lighter / np.where(value > 0, value, 1), lighter)


def _contrast(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    mean = pixels.mean(axis=(0, 1), keepdims=True)
    return (pixels - mean) * level + mean


def _jpeg(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    from PIL import Image

    file = io.BytesIO()
    _picture(pixels).save(file, "JPEG", quality=int(level))
    return _pixels(Image.open(file), pixels.shape)


def _pixelate(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    from PIL import Image

    height, width, _ = pixels.shape
    box = Image.Resampling.BOX
    smaller = _picture(pixels).resize((max(1, int(width * level)), max(1, int(height * level))), box)
    return _pixels(smaller.resize((width, height), box), pixels.shape)


def _picture(pixels: Pixels) -> Image.Image:
    from PIL import Image

    bytes_ = np.rint(pixels * 255).astype(np.uint8)
    return Image.fromarray(bytes_[..., 0] if bytes_.shape[2] == 1 else bytes_)


def _pixels(picture: Image.Image, shape: Sequence[int]) -> Pixels:
    return np.asarray(picture).reshape(shape) / 255.0


KINDS: dict[str, Callable[[Pixels, float, np.random.Generator], Pixels]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "gaussian_blur": _gaussian_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "jpeg": _jpeg,
    "pixelate": _pixelate,
}
"""Every corruption by name."""

LEVELS: dict[str, tuple[Level, Level]] = {
    "gaussian_noise": ((0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot_noise": ((500, 250, 100, 75, 50), (60, 25, 12, 5, 3)),
    "impulse_noise": ((0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27)),
    "gaussian_blur": ((0.4, 0.6, 0.7, 0.8, 1), (1, 2, 3, 4, 6)),
    "brightness": ((0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": ((0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "jpeg": ((80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
    "pixelate": ((0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),
}
"""By severity from 1 to 5, for small images and for large ones: deviation, photons, share of pixels, σ in pixels, what
is added to the value, what is left of the contrast, quality, share of the side."""

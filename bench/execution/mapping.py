"""Score maps of test images: made a few at a time, measured against masks, and a few of them kept for figures."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.dataset import Each, PreparedDataset
from bench.errors import BenchError
from bench.execution.detector import Clock
from bench.localisation import localised
from bench.maps import BLUR
from bench.method import Images, Maps, Method, Scores
from bench.metrics import f1_max, measured
from bench.protocol import Protocol, Split
from bench.record import Arrays

T = TypeVar("T")

AT_ONCE = 64
"""Images whose maps are made in one call."""
SHOWN = 2
"""Test images of each class whose maps are kept."""
FEW = 64
"""Training images whose maps tell what is usual."""
USUAL = 0.99
"""Share of their pixels that lie below the level that contours are drawn at."""


@dataclass(frozen=True)
class Findings:
    """What the maps of a job come to; all of it is empty where the method has none, or the dataset no masks."""

    metrics: dict[str, float] = field(default_factory=dict)
    """Of all test images: ``f1_max``, and those of ``bench.localisation``."""
    by_kind: dict[str, dict[str, float]] = field(default_factory=dict)
    """By kind of anomaly, the metrics of its images and the normal ones."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What ``bench.record.Record.maps`` holds."""
    cost: dict[str, float] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)
    """``maps`` and ``map_indices`` of a few test images."""
    every: NDArray[np.float16] | None = None
    """The maps of all test images, where they are wanted."""


def findings(
    detector: Method,
    dataset: PreparedDataset,
    protocol: Protocol,
    split: Split,
    test: Images,
    scores: Scores,
    clock: Clock,
    keep: bool,
) -> Findings:
    """Measure the detector's maps of the test images against their masks, and each kind of anomaly by itself.

    Maps lie on disk meanwhile, and masks are got one at a time. ``keep``: whether the maps of all images are wanted.
    """
    kinds = _kinds(dataset, protocol, split)
    labels = split.test_labels
    if dataset.masks is None:
        by_kind = {kind: _of_images(labels[own], scores[own]) for kind, own in kinds.items()}
        return Findings({"f1_max": f1_max(labels, scores)} if kinds else {}, by_kind)
    with tempfile.TemporaryDirectory(prefix="bench-maps-") as folder:
        clock.lap()
        maps = mapped(detector, test, Path(folder) / "maps.npy")
        seconds = clock.lap()
        if maps is None and keep:
            raise BenchError(f"{type(detector).__name__} has no score_map, so that there are no maps to keep")
        masks = _Chosen(dataset.masks, split.test)
        marked = np.array([masks[place].any() for place in range(len(masks))])

        def measures(own: NDArray[np.int64]) -> dict[str, float]:
            figures = _of_images(labels[own], scores[own])
            if maps is not None and marked[own].any():
                figures |= localised(_Chosen(maps, own), _Chosen(masks, own))
            return figures

        whole = measures(np.arange(len(test)))
        by_kind = {kind: measures(own) for kind, own in kinds.items()}
        metrics = {name: figure for name, figure in whole.items() if name not in measured(labels, scores)}
        if maps is None:
            return Findings(metrics, by_kind)
        largest = float(np.abs(maps).max()) or 1.0
        usual = detector.score_map(dataset.images[_spaced(split.train, FEW)])
        assert usual is not None
        facts = {
            "height": maps.shape[1],
            "width": maps.shape[2],
            "residual": inspect.unwrap(type(detector).score_map) is Method.score_map,
            "blur": BLUR,
            "agreement": _agreement(scores, maps.mean(axis=(1, 2))),
            "largest": largest,
            "usual": float(np.quantile(usual, USUAL)) / largest,
        }
        shown = np.concatenate([_spaced(own, SHOWN) for own in _classes(dataset, split)])
        return Findings(
            metrics,
            by_kind,
            facts,
            {"map_seconds": seconds},
            {"maps": _halved(maps[shown], largest), "map_indices": split.test[shown]},
            _halved(maps, largest) if keep else None,
        )


class _Chosen(Sequence[T], Generic[T]):
    """Some of something that there is for each image, got when it is asked for."""

    def __init__(self, every: Each[T] | NDArray[Any], chosen: NDArray[np.int64]) -> None:
        self._every = every
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, place: Any) -> Any:
        return self._every[int(self._chosen[place])]


def _of_images(labels: NDArray[np.uint8], scores: Scores) -> dict[str, float]:
    return {**measured(labels, scores), "f1_max": f1_max(labels, scores)}


def mapped(detector: Method, images: Images, file: Path) -> Maps | None:
    """The detector's maps of images, made a few at a time, in a file that is mapped from disk; None without any."""
    first = detector.score_map(images[:AT_ONCE])
    if first is None:
        return None
    maps = np.lib.format.open_memmap(file, "w+", np.float32, (len(images), *first.shape[1:]))
    maps[:AT_ONCE] = first
    for start in range(AT_ONCE, len(images), AT_ONCE):
        maps[start : start + AT_ONCE] = detector.score_map(images[start : start + AT_ONCE])
    return maps


def _classes(dataset: PreparedDataset, split: Split) -> list[NDArray[np.int64]]:
    """The places of each class among the test images, the normal ones first."""
    labels = dataset.labels[split.test]
    own = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return sorted(own, key=lambda places: bool(split.test_labels[places[0]]))


def _kinds(dataset: PreparedDataset, protocol: Protocol, split: Split) -> dict[str, NDArray[np.int64]]:
    """By kind of anomaly, the places of its test images and of the normal ones; empty where there are not several."""
    if not protocol.anomalies_have_kinds:
        return {}
    labels = dataset.labels[split.test]
    normal = split.test_labels == 0
    anomalous = np.unique(labels[~normal])
    if len(anomalous) < 2:
        return {}
    return {_kind(dataset, label): np.flatnonzero(normal | (labels == label)) for label in anomalous}


def _kind(dataset: PreparedDataset, label: np.int64) -> str:
    """What a class is called among those of its superclass: ``broken_large`` of ``bottle/broken_large``."""
    name = dataset.classes[label]
    return name.removeprefix(f"{dataset.superclasses[label]}/") if dataset.superclasses is not None else name


def _spaced(places: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Some of them, evenly spaced."""
    return places[np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int)]


def _agreement(scores: Scores, means: Scores) -> float | None:
    """Spearman's rank correlation of the images' scores with the means of their maps; None where either is constant."""
    from scipy.stats import spearmanr

    if np.ptp(scores) == 0 or np.ptp(means) == 0:
        return None
    return float(spearmanr(scores, means).statistic)


def _halved(maps: Maps, largest: float) -> NDArray[np.float16]:
    """Maps in 16 bits, as shares of the largest value."""
    return (maps / largest).astype(np.float16)

"""What a worker does with images of the user's own: fit a method and save it, load it and score or map."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import device
from bench.execution.detector import Clock, built, fitted, noted, plugin_class, scores_of
from bench.execution.mapping import mapped
from bench.execution.measurement import outcome_of
from bench.execution.messages import Errand, Fit, Map, Outcome, Score
from bench.method import Epoch, FitContext
from bench.provenance import accelerator
from bench.randomness import global_generators_seeded


def run(errand: Errand, report: Callable[[Epoch], None]) -> Outcome:
    """The outcome of an errand, as ``measure`` gives that of a task."""
    do = {Fit: _fitted, Score: _scored, Map: _mapped}[type(errand)]
    return outcome_of(lambda epochs: do(errand, report, epochs), errand.device)


def _fitted(errand: Errand, report: Callable[[Epoch], None], epochs: list[dict[str, Any]]) -> Outcome:
    device.set_precision(errand.device, "fp32")
    detector = built(errand.spec, errand.fingerprint, errand.plugin_folders, errand.device)
    images = np.load(errand.images)
    clock = Clock(errand.device)
    with global_generators_seeded(errand.seed):
        context = FitContext(seed=errand.seed, device=errand.device)
        for epoch in fitted(detector, images, context, clock):
            noted(epoch, epochs, report)
        seconds = clock.lap()
        detector.save(errand.state)
    return Outcome(
        status="done",
        cost={"fit_seconds": seconds},
        parameters=detector.hyperparameters(),
        epochs=epochs,
        provenance=accelerator(errand.device),
    )


def _scored(errand: Errand, report: Callable[[Epoch], None], epochs: list[dict[str, Any]]) -> Outcome:
    device.set_precision(errand.device, "fp32")
    cls = plugin_class(errand.spec, errand.fingerprint, errand.plugin_folders, errand.device)
    images = np.load(errand.images)
    with global_generators_seeded(errand.seed):
        scores = scores_of(cls.load(errand.state, errand.device), images)
    return Outcome("done", arrays={"scores": scores})


def _mapped(errand: Errand, report: Callable[[Epoch], None], epochs: list[dict[str, Any]]) -> Outcome:
    device.set_precision(errand.device, "fp32")
    cls = plugin_class(errand.spec, errand.fingerprint, errand.plugin_folders, errand.device)
    images = np.load(errand.images)
    with tempfile.TemporaryDirectory(prefix="bench-maps-") as folder, global_generators_seeded(errand.seed):
        maps = mapped(cls.load(errand.state, errand.device), images, Path(folder) / "maps.npy")
        return Outcome("done", arrays={} if maps is None else {"maps": np.array(maps)})

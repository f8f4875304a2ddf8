"""The mean image, learnt in epochs. A test can slow it down, and hold it at a gate until it says go on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.method import Epoch, EpochMethod, FitContext, Images, Scores, method


@method(version="1")
class Gated(EpochMethod):
    """Squared distance to a mean over random parts of the training images.

    - ``pause``: seconds that every epoch takes at least.
    """

    epochs: int = 3
    pause: float = 0.0

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        if "BENCH_TEST_GATE" in os.environ:
            _wait(Path(os.environ["BENCH_TEST_GATE"]))
        generator = np.random.default_rng(context.seed)
        self.mean = np.zeros(images.shape[1:])
        for number in range(1, self.epochs + 1):
            part = images[generator.choice(len(images), 10)].mean(axis=0)
            self.mean += (part - self.mean) / number
            time.sleep(self.pause)
            yield Epoch(number, self.epochs, {"distance": float(np.abs(part - self.mean).mean())})

    def score(self, images: Images) -> Scores:
        scores: Scores = ((images - self.mean) ** 2).mean(axis=(1, 2, 3))
        return scores


def _wait(gate: Path, seconds: float = 300.0) -> None:
    (gate / str(os.getpid())).touch()
    deadline = time.monotonic() + seconds
    while not (gate / "open").exists():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody opened the gate")
        time.sleep(0.02)

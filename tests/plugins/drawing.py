"""A detector whose fit is seen from outside, and which may do in scoring what detectors should not."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch

from bench.method import FitContext, Images, Method, Scores, method


@method(version="1")
class Drawing(Method):
    """Brightness, and a little chance from every global generator.

    - ``holds``: what it keeps, which may be nothing that a file can hold.
    - ``breaks``: fails where the test images are as bright as this on average.
    """

    holds: Literal["nothing", "a lock"] = "nothing"
    breaks: float = 256.0

    def fit(self, images: Images, context: FitContext) -> Self:
        if log := os.environ.get("BENCH_TEST_FITS"):
            with Path(log).open("a") as file:
                file.write(f"{os.getpid()}\n")
        self.scored = 0
        self.lock = threading.Lock() if self.holds == "a lock" else None
        self.drawn = random.random() + np.random.random() + float(torch.rand(()))  # noqa: NPY002
        return self

    def score(self, images: Images) -> Scores:
        if images.mean() >= self.breaks:
            raise RuntimeError("too bright")
        self.scored += 1  # another job must not see this
        chance = random.random() + np.random.random(len(images)) + torch.rand(len(images)).numpy()  # noqa: NPY002
        scores: Scores = images.mean(axis=(1, 2, 3)) + self.drawn + self.scored + chance
        return scores

    def used(self) -> tuple[str, ...]:
        return ("chance",)

"""A method that takes longer than it says, and does not listen when it is asked to stop."""

from __future__ import annotations

import signal
import time
from typing import Self

import numpy as np

from bench.method import FitContext, Images, Method, Scores, method


@method(version="1", timeout=1.0)
class Overtime(Method):
    """Sleeps."""

    def fit(self, images: Images, context: FitContext) -> Self:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
        return self

    def score(self, images: Images) -> Scores:
        return np.zeros(len(images))

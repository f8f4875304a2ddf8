"""Whatever can go wrong in a method, each way under its name."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Literal

import numpy as np

from bench.method import Epoch, EpochMethod, FitContext, Images, Scores, method

print("a plugin that prints while it is imported")

OUTLIVES = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


@method(version="1")
class Misbehaves(EpochMethod):
    """Ends, prints or returns as no method should."""

    how: Literal[
        "raises", "floods", "closes_stdout", "exits", "quits", "segfaults", "kills_itself", "eats_memory", "grows",
        "leaves_child", "nan_loss", "nan_scores", "wrong_shape",
    ]  # fmt: skip

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        if self.how == "raises":
            print("what was printed before")
            raise LookupError("the cause, in the plugin's own words\nand more on a second line")
        elif self.how == "floods":
            _flood()
        elif self.how == "closes_stdout":
            sys.stdout.close()
        elif self.how == "exits":
            os._exit(3)
        elif self.how == "quits":
            sys.exit("a script's way to say that something is wrong")
        elif self.how == "segfaults":
            ctypes.string_at(0)
        elif self.how == "kills_itself":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.how == "eats_memory":
            np.empty(1 << 60, dtype=np.uint8)
        elif self.how == "grows":
            self.held = [np.ones(5_000_000)]
            while True:
                self.held.append(self.held[0] * 2)
                time.sleep(0.02)
        elif self.how == "leaves_child":
            for own_session in (False, True):
                subprocess.Popen([sys.executable, "-c", OUTLIVES], start_new_session=own_session)
        yield Epoch(1, 1, {"loss": math.nan if self.how == "nan_loss" else 1.0})

    def score(self, images: Images) -> Scores:
        scores = images.mean(axis=(1, 2, 3))
        if self.how == "floods":
            _flood()
        if self.how == "nan_scores":
            scores[0] = math.nan
        return scores[:-1] if self.how == "wrong_shape" else scores


def _flood() -> None:
    for _ in range(20_000):
        print("a line on stdout")
    print("x" * 5_000_000, end="")
    os.write(1, b"straight to the descriptor, without a newline")
    print("y" * 1_000_000, end="", file=sys.stderr)

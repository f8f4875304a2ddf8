"""Jobs in which something goes wrong on the GPU, and one in which nothing does; for benchmarks/gpu.py."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Literal

import torch

from bench.method import Epoch, EpochMethod, FitContext, Images, Scores, method


@method(version="1")
class GpuFaults(EpochMethod):
    """Distance to the mean image, on the device."""

    how: Literal["nothing", "assert", "memory", "kill"] = "nothing"

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        numbers = torch.arange(4, device=self.device)
        if self.how == "assert":
            print(numbers[numbers + 2].sum().item())  # an index beyond the end: a device-side assert
        elif self.how == "memory":
            torch.empty(1 << 50, dtype=torch.uint8, device=self.device)
        elif self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        self.mean = torch.from_numpy(images.mean(axis=0)).to(self.device)
        yield Epoch(1, 1)

    def score(self, images: Images) -> Scores:
        difference = torch.from_numpy(images.astype("float64")).to(self.device) - self.mean
        scores: Scores = difference.square().mean(dim=(1, 2, 3)).cpu().numpy()
        return scores

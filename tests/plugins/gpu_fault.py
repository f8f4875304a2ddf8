"""Whatever can go wrong on a GPU, each way under its name; for the pretend GPU."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Literal

import torch

from bench.method import Epoch, EpochMethod, FitContext, Images, Scores, method


@method(version="1", timeout=20)
class GpuFault(EpochMethod):
    """Distance to mid-grey, after something has gone wrong."""

    how: Literal["nothing", "asserts", "out_of_memory", "cublas", "wrapped", "hangs", "dies", "fails_late"]

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        torch.zeros(3, device=context.device)
        if self.how == "asserts":
            torch.cuda.pretend("device-side assert triggered")
        elif self.how == "out_of_memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 99.00 GiB")
        elif self.how == "cublas":
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
        elif self.how == "wrapped":
            try:
                torch.cuda.pretend("an illegal memory access was encountered")
            except RuntimeError as error:
                raise ValueError("the plugin's own words") from error
        elif self.how == "hangs":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        elif self.how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        yield Epoch(1, 1, {"loss": 1.0})

    def score(self, images: Images) -> Scores:
        return abs(images.mean(axis=(1, 2, 3)) - 127.5)

    def reconstruct(self, images: Images) -> Images | None:
        if self.how == "fails_late":  # when the job has all that it needs
            try:
                torch.cuda.pretend("unspecified launch failure")
            except RuntimeError:
                return None
        return None

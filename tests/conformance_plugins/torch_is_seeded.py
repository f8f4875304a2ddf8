"""Fault: fit seeds torch's global generator."""

from collections.abc import Iterator

import torch

from bench.method import Epoch, FitContext, Images, method

from ._base import Features


@method(version="1")
class TorchIsSeeded(Features):
    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        torch.manual_seed(context.seed)
        yield from super().fit_epochs(images, context)

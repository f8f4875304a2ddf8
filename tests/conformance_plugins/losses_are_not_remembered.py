"""Fault: it is said to go on from a checkpoint, which does not hold the losses that it scales its scores by."""

from collections.abc import Iterator

from bench.method import Epoch, FitContext, Images, Scores, method

from ._compressed import Compressed


@method(version="1")
class LossesAreNotRemembered(Compressed):
    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.losses = 0.0
        for epoch in super().fit_epochs(images, context):
            self.losses += epoch.losses["reconstruction"]
            yield epoch

    def score(self, images: Images) -> Scores:
        return super().score(images) / self.losses

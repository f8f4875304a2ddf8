"""A detector without a fault that trains in the harness's loop, which the broken ones of that kind are made from."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from bench.method import Epoch, EpochMethod, FitContext, Images, Scores, method
from bench.training import Step, adam, minimise, scored, seeded, to_device, train


@method(version="1")
class Compressed(EpochMethod):
    """Error of an autoencoder of one hidden layer, trained in the harness's loop."""

    epochs: int = 8
    batch_size: int = 16
    lr: float = 1e-2

    resumable = True

    def fit_epochs(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        self.device = context.device
        pixels = images[0].size
        with seeded(context):
            self.network = nn.Sequential(nn.Linear(pixels, 16), nn.Linear(16, pixels))
        to_device(self.network, context)
        yield from train(
            self.network,
            self.step(context),
            images,
            epochs=self.epochs,
            batch_size=self.batch_size,
            context=context,
            capturable=True,
        )

    def step(self, context: FitContext) -> Step:
        optimiser = adam(self.network.parameters(), lr=self.lr)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            loss = self.error(x).mean()
            minimise(loss, optimiser)
            return {"reconstruction": loss}

        return step

    def error(self, x: Tensor) -> Tensor:
        """Of each image, (b,)."""
        rows = x.flatten(1)
        error: Tensor = (self.network(rows) - rows).square().mean(dim=1)
        return error

    def score(self, images: Images) -> Scores:
        return scored(self.error, images, device=self.device)

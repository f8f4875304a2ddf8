"""Fault: the network is in training mode since it was built, until it is scored; from then on it trains without it."""

import torch
from torch import Tensor, nn

from bench.method import Images, Scores, method

from ._base import Features


@method(version="1")
class TrainingModeIsSetOnce(Features):
    def built(self, pixels: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(pixels, 16), nn.Dropout(0.5), nn.Linear(16, pixels))

    def epoch(self, rows: Tensor) -> float:
        for batch in rows[torch.randperm(len(rows))].split(self.batch_size):
            loss = (self.network(batch) - batch).square().sum(dim=1).mean()
            self.step(loss)
        return loss.item()

    @torch.no_grad()
    def features(self, rows: Tensor) -> Tensor:
        features: Tensor = self.network[0](rows)
        return features

    def score(self, images: Images) -> Scores:
        self.network.eval()
        return super().score(images)

"""RotNet: a network learns by how many quarters images were turned; what it cannot tell is anomalous.

Gidaris, Singh and Komodakis, ICLR 2018, for the training; Hendrycks et al., Using self-supervised learning can improve
model robustness and uncertainty, NeurIPS 2019, for the score; network and budget of Golan and El-Yaniv's code.
"""

from __future__ import annotations

from torch import Tensor

from bench.method import Count, Whole, method
from bench.methods._transform_prediction import TransformPrediction
from bench.methods._transforms import ROTATIONS, Transform


@method(version="1", gpu_memory=1.0)
class RotNet(TransformPrediction):
    """Anomaly score: the mean over the four rotations of −log p of the rotation that it was.

    A batch holds each of its images in all four rotations. An image says little where its class looks the same when it
    is turned.

    - ``epochs``: ⌈200 / transforms⌉, as Golan and El-Yaniv's code has it for any number of them.
    - ``batch_size``: images, each four times in a step; theirs has 128 transformed ones.
    """

    epochs: Whole = 50
    batch_size: Count = 32

    def transforms_used(self) -> tuple[Transform, ...]:
        return ROTATIONS

    def views(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.transformer.every(x)

    def anomaly(self, log_p: Tensor) -> Tensor:
        return -log_p.diagonal(dim1=1, dim2=2).mean(dim=1)

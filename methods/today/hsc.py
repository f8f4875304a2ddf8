"""HSC: the hypersphere classifier, which tells normal images from the same ones with confetti by a radial loss.

Ruff et al., Rethinking assumptions in deep anomaly detection, 2020, and the authors' code, which take outlier images
from elsewhere; confetti in their place as in Liznerski et al., Explainable deep one-class classification, ICLR 2021.
"""

from __future__ import annotations

from torch import Tensor, nn

from bench.images import resized
from bench.maps import input_gradients
from bench.method import Count, Images, Maps, Whole, method
from bench.methods._channels import unit
from bench.methods._hypersphere import HypersphereClassifier, pseudo_huber
from bench.methods._lenet import SLOPE
from bench.methods._pooled_blocks import pooled_blocks

OUTLIERS = "outlier exposure: 80 million tiny images"


@method(version="1", gpu_memory=1.0, published_used=(OUTLIERS,))
class HSC(HypersphereClassifier):
    """Anomaly score: h(φ(x)) = √(‖φ(x)‖² + 1) − 1, the distance of the network's output to the origin.

    Parameters are those that hsc and fcdd share; with width 32 the network is the authors' for CIFAR-10.
    """

    epochs: Whole = 200
    milestones: tuple[int, ...] = (100, 150)
    batch_size: Count = 128

    def build(self, channels: int) -> nn.Module:
        return network(channels, self.width, self.image_size)

    def distance(self, x: Tensor) -> Tensor:
        return pseudo_huber(self.network(x).float().square().sum(dim=1))

    def score_map(self, images: Images) -> Maps:
        """Absolute gradient of the score with respect to the image, blurred."""
        self.network.eval()
        return input_gradients(self.anomaly, resized(images, self.image_size), device=self.device, prepare=unit)


def network(channels: int, width: int, image_size: int) -> nn.Sequential:
    """Images (b, channels, image_size, image_size) → outputs (b, 8 · width). Without biases."""
    inputs, hidden, outputs = 4 * width * (image_size // 8) ** 2, 16 * width, 8 * width
    made = nn.Sequential(
        *pooled_blocks(channels, (width, 2 * width, 4 * width), kernel=5, bias=False),
        nn.Flatten(),
        nn.Linear(inputs, hidden, bias=False),
        nn.BatchNorm1d(hidden, eps=1e-4, affine=False),
        nn.LeakyReLU(SLOPE),
        nn.Linear(hidden, outputs, bias=False),
    )
    for layer in made:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            gain = 1.0 if layer is made[-1] else nn.init.calculate_gain("leaky_relu", SLOPE)
            nn.init.xavier_normal_(layer.weight, gain=gain)
    return made

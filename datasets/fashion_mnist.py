"""Fashion-MNIST: 60,000 + 10,000 grey images of 28×28, articles of clothing in 10 classes.

Xiao, Rasul, Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms, 2017.
"""

from __future__ import annotations

from bench.dataset import dataset
from bench.datasets._idx import IdxFiles
from bench.datasets._published import Published


@dataset()
class FashionMNIST(IdxFiles):
    """The original idx files in ``FashionMNIST/raw``; class names as torchvision gives them."""

    name = "fashion_mnist"
    folder = "FashionMNIST/raw"
    loader = "FashionMNIST"
    files = {  # noqa: RUF012 - declared as a class variable in the base
        "train-images-idx3-ubyte": Published("f4a8712d7a061bf5bd6d2ca38dc4d50a", 47_040_016),
        "train-labels-idx1-ubyte": Published("9018921c3c673c538a1fc5bad174d6f9", 60_008),
        "t10k-images-idx3-ubyte": Published("8181f5470baa50b63fa0f6fddb340f0a", 7_840_016),
        "t10k-labels-idx1-ubyte": Published("15d484375f8d13e6eb1aabb0c3f46965", 10_008),
    }
    classes = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )

"""MNIST: 60,000 + 10,000 grey images of 28×28, handwritten digits in 10 classes.

LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, Proc. IEEE 86(11), 1998.
"""

from __future__ import annotations

from bench.dataset import dataset
from bench.datasets._idx import IdxFiles
from bench.datasets._published import Published


@dataset()
class MNIST(IdxFiles):
    """The original idx files in ``MNIST/raw``."""

    name = "mnist"
    folder = "MNIST/raw"
    loader = "MNIST"
    files = {  # noqa: RUF012 - declared as a class variable in the base
        "train-images-idx3-ubyte": Published("6bbc9ace898e44ae57da46a324031adb", 47_040_016),
        "train-labels-idx1-ubyte": Published("a25bea736e30d166cdddb491f175f624", 60_008),
        "t10k-images-idx3-ubyte": Published("2646ac647ad5339dbf082846283269ea", 7_840_016),
        "t10k-labels-idx1-ubyte": Published("27ae3e4e09519cfbb04c329615203637", 10_008),
    }
    classes = tuple("0123456789")

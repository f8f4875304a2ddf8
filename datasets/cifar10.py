"""CIFAR-10: 50,000 + 10,000 colour images of 32×32, animals and vehicles in 10 classes.

Krizhevsky, Learning multiple layers of features from tiny images, 2009.
"""

from __future__ import annotations

from bench.dataset import dataset
from bench.datasets._cifar import CifarBatches
from bench.datasets._published import Published


@dataset()
class CIFAR10(CifarBatches):
    """The original Python batches in ``cifar-10-batches-py``."""

    name = "cifar10"
    folder = "cifar-10-batches-py"
    loader = "CIFAR10"
    files = {  # noqa: RUF012 - declared as a class variable in the base
        "data_batch_1": Published("c99cafc152244af753f735de768cd75f", 31_035_704),
        "data_batch_2": Published("d4bba439e000b95fd0a9bffe97cbabec", 31_035_320),
        "data_batch_3": Published("54ebc095f3ab1f0389bbae665268c751", 31_035_999),
        "data_batch_4": Published("634d18415352ddfa80567beed471001a", 31_035_696),
        "data_batch_5": Published("482c414d41f54cd18b22e5b47cb7c3cb", 31_035_623),
        "test_batch": Published("40351d587109b95175f43aff81a1287e", 31_035_526),
        "batches.meta": Published("5ff9c542aee3614f3951f8cda6e48888", 158),
    }

"""CIFAR-100: 50,000 + 10,000 colour images of 32×32 in 100 classes, five to each of 20 superclasses.

Krizhevsky, Learning multiple layers of features from tiny images, 2009.
"""

from __future__ import annotations

import dataclasses
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.dataset import LabelledImages, dataset
from bench.datasets._cifar import CifarBatches
from bench.datasets._published import Published
from bench.errors import DataMissing

SUPERCLASSES = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}
COARSE = {fine: coarse for coarse, names in SUPERCLASSES.items() for fine in names.split()}
CLASSES = tuple(sorted(COARSE))
"""The fine classes in the order of their original numbers, which is that of their names."""

SUBSET = "cifar100.npz"
SUBSET_KEYS = ("x_train", "y_train", "coarse_train", "x_test", "y_test", "coarse_test", "fine_names", "coarse_names")


@dataset()
class CIFAR100(CifarBatches):
    """The original batches in ``cifar-100-python``, else a subset of the images in ``cifar100.npz``.

    Of a subset, the classes keep their names and numbers; those that it leaves out have no images.
    """

    name = "cifar100"
    folder = "cifar-100-python"
    loader = "CIFAR100"
    files = {  # noqa: RUF012 - declared as a class variable in the base
        "train": Published("16019d7e3df5f24257cddd939b257f8d"),
        "test": Published("f0ef6b0ae62326f3e7ffdfab6717acfc"),
        "meta": Published("7973b15100ade9c7d40fb424638fde48"),
    }

    def source_files(self, root: Path) -> list[Path]:
        try:
            return super().source_files(root)
        except DataMissing:
            if (root / SUBSET).is_file():
                return [root / SUBSET]
            raise

    def read(self, root: Path) -> LabelledImages:
        subset = self.source_files(root) == [root / SUBSET]
        content = _read_subset(root) if subset else super().read(root)
        return dataclasses.replace(content, superclasses=[COARSE[fine] for fine in content.classes])


def _read_subset(root: Path) -> LabelledImages:
    path = root / SUBSET
    try:
        arrays = _load(path)
        problems = "; ".join(_problems(arrays))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        problems = f"{type(error).__name__}: {error}"
    if problems:
        raise DataMissing(
            f"{path} is no usable subset of CIFAR-100: {problems}\n"
            "replace it, or fetch the whole dataset, which is used instead:  "
            f"bench data fetch cifar100 --data {root}"
        )
    return LabelledImages(
        images=np.concatenate([arrays["x_train"], arrays["x_test"]]),
        labels=np.concatenate([arrays["y_train"], arrays["y_test"]]).astype(np.int64),
        classes=CLASSES,
        is_test=np.repeat([False, True], [len(arrays["x_train"]), len(arrays["x_test"])]),
    )


def _load(path: Path) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(path) as archive:
        members = archive.namelist()
    if absent := [key for key in SUBSET_KEYS if f"{key}.npy" not in members]:
        raise ValueError(f"it lacks the arrays {', '.join(absent)}")
    with np.load(path, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in SUBSET_KEYS}


def _problems(arrays: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    for key, wanted in (("fine_names", CLASSES), ("coarse_names", tuple(SUPERCLASSES))):
        if tuple(arrays[key].tolist()) != wanted:
            yield f"{key} are not the {len(wanted)} published names in their order"
    for part in ("train", "test"):
        x, fine, coarse = (arrays[f"{key}_{part}"] for key in ("x", "y", "coarse"))
        if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1:] != (32, 32, 3):
            yield f"x_{part} is {x.dtype} {x.shape}, not uint8 (n, 32, 32, 3)"
        elif any(y.dtype.kind not in "iu" or y.shape != (len(x),) for y in (fine, coarse)):
            yield f"y_{part} and coarse_{part} are not {len(x)} whole numbers each"
        elif any(y.size and not 0 <= y.min() <= y.max() < n for y, n in ((fine, 100), (coarse, 20))):
            yield f"y_{part} must lie in 0..99 and coarse_{part} in 0..19"
        elif not np.array_equal(_COARSE_NUMBER[fine], coarse):
            yield f"coarse_{part} does not give each image of {part} the superclass of its class"


_COARSE_NUMBER = np.array([list(SUPERCLASSES).index(COARSE[fine]) for fine in CLASSES])

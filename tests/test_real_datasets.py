"""The real datasets: what they hold and how the protocols split them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from splits import protocol

from bench.dataset import PreparedDataset
from bench.datasets.cifar10 import CIFAR10
from bench.datasets.cifar100 import CLASSES, COARSE, SUPERCLASSES
from bench.datasets.coil100 import COIL100
from bench.datasets.mnist import MNIST
from bench.errors import DataMissing
from bench.prepared import prepare, verify
from bench.registry import Registry
from bench.specs import parse_spec

pytestmark = pytest.mark.real_data


def prepared(text: str, root: Path) -> PreparedDataset:
    registry = Registry("dataset")
    spec = registry.resolve(parse_spec(text))
    return prepare(registry.build(spec), spec.name, str(spec), root)


def counts(dataset: PreparedDataset, test: bool) -> dict[str, int]:
    """Number of images by class, of the classes that have any."""
    assert dataset.is_test is not None
    numbers = np.bincount(dataset.labels[dataset.is_test == test], minlength=len(dataset.classes))
    return {name: int(n) for name, n in zip(dataset.classes, numbers, strict=True) if n}


def split_sizes(dataset: PreparedDataset, name: str, normal: str, seed: int = 0) -> tuple[int, int, int]:
    """Training images, normal test images, anomalous test images."""
    split = protocol(name).split(dataset, normal, seed)
    assert not set(split.train.tolist()) & set(split.test.tolist())
    assert (dataset.labels[split.train] == dataset.label(normal)).all()
    return len(split.train), int((split.test_labels == 0).sum()), int(split.test_labels.sum())


def test_mnist(real_data: Path) -> None:
    mnist = prepared("mnist", real_data)
    assert mnist.images.shape == (70_000, 28, 28, 1)
    assert mnist.classes == tuple("0123456789")
    assert list(counts(mnist, False).values()) == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert list(counts(mnist, True).values()) == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert round(float(mnist.images[:60_000].mean()) / 255, 4) == 0.1307
    assert split_sizes(mnist, "official_split", "3") == (6131, 1010, 8990)
    assert split_sizes(mnist, "holdout_80_20", "3") == (5713, 1428, 1428)
    verify(mnist)


def test_fashion_mnist(real_data: Path) -> None:
    fashion = prepared("fashion_mnist", real_data)
    assert fashion.images.shape == (70_000, 28, 28, 1)
    assert set(counts(fashion, False).values()) == {6000}
    assert set(counts(fashion, True).values()) == {1000}
    assert fashion.classes[0] == "T-shirt/top"
    assert round(float(fashion.images[:60_000].mean()) / 255, 4) == 0.2860
    assert split_sizes(fashion, "official_split", "Ankle boot") == (6000, 1000, 9000)


def test_cifar10(real_data: Path) -> None:
    cifar = prepared("cifar10", real_data)
    assert cifar.images.shape == (60_000, 32, 32, 3)
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    assert cifar.classes == tuple(names.split())
    assert set(counts(cifar, False).values()) == {5000}
    assert set(counts(cifar, True).values()) == {1000}
    means = cifar.images[:50_000].mean(axis=(0, 1, 2)) / 255
    assert np.round(means, 4).tolist() == [0.4914, 0.4822, 0.4465]
    assert split_sizes(cifar, "official_split", "frog") == (5000, 1000, 9000)
    assert split_sizes(cifar, "holdout_80_20", "frog") == (4800, 1200, 1200)


def test_cifar100_subset(real_data: Path) -> None:
    if not (real_data / "cifar100.npz").is_file():
        pytest.skip("this data folder has no cifar100.npz")
    with np.load(real_data / "cifar100.npz") as arrays:
        assert tuple(arrays["fine_names"].tolist()) == CLASSES
        assert arrays["coarse_names"].tolist() == list(SUPERCLASSES)
        pairs = set(zip(arrays["y_test"].tolist(), arrays["coarse_test"].tolist(), strict=True))
    assert len(pairs) == 50
    assert all(COARSE[CLASSES[fine]] == list(SUPERCLASSES)[coarse] for fine, coarse in pairs)

    cifar = prepared("cifar100", real_data)
    assert cifar.classes == CLASSES
    if len(cifar.images) == 10_000:
        trained = {"apple", "bee", "bus", "clock", "cup", "lion", "oak_tree", "rose", "turtle", "woman"}
        assert counts(cifar, False) == dict.fromkeys(sorted(trained), 500)
        assert list(counts(cifar, True).values()) == [100] * 50
        assert set(protocol("sibling_subclasses").normal_classes(cifar)) == trained
    assert split_sizes(cifar, "sibling_subclasses", "apple") == (500, 100, 400)


def test_coil100(real_data: Path) -> None:
    coil = prepared("coil100", real_data)
    assert len(coil.images) == 7200
    assert coil.images.shape[1:] in ((32, 32, 3), (128, 128, 3))
    assert coil.classes == tuple(f"obj{n}" for n in range(1, 101))
    assert np.bincount(coil.labels).tolist() == [72] * 100
    assert coil.is_test is None
    assert split_sizes(coil, "holdout_80_20", "obj1") == (58, 14, 14)


def test_coil100_with_three_objects_lists_the_others(real_data: Path, tmp_path: Path) -> None:
    original = real_data / "coil-100-original"
    if not original.is_dir():
        pytest.skip("this data folder has no coil-100-original")
    (tmp_path / "coil-100").symlink_to(original)
    with pytest.raises(DataMissing, match=r"obj4__0\.png\n(.|\n)*and 6972 more"):
        COIL100().source_files(tmp_path)


def test_coil100_of_two_sizes_names_the_odd_one(real_data: Path, tmp_path: Path) -> None:
    if not (real_data / "coil-100-original").is_dir() or not (real_data / "coil-100").is_dir():
        pytest.skip("this data folder has no two sizes of COIL-100")
    (tmp_path / "coil-100").mkdir()
    for file in COIL100().source_files(real_data):
        (tmp_path / "coil-100" / file.name).symlink_to(file)
    odd = tmp_path / "coil-100/obj2__40.png"
    odd.unlink()
    shutil.copy(real_data / "coil-100-original" / odd.name, odd)
    with pytest.raises(DataMissing, match=r"obj2__40\.png is 128×128, but .*obj1__0\.png is 32×32"):
        COIL100().read(tmp_path)


@pytest.mark.parametrize(("spec", "size"), [("magnetic_tile", 128), ("folder(path='magnetic_tile')", 64)])
def test_magnetic_tile(spec: str, size: int, real_data: Path) -> None:
    tile = prepared(spec, real_data)
    assert tile.images.shape == (1338, size, size, 1)
    assert counts(tile, False) == {"good": 711}
    test = {"blowhole": 115, "break": 85, "crack": 57, "fray": 32, "good": 241, "uneven": 97}
    assert counts(tile, True) == test
    assert protocol("train_test_folders").normal_classes(tile) == ["good"]
    assert split_sizes(tile, "train_test_folders", "good") == (711, 241, 386)
    assert tile.masks is not None
    marked = [bool(tile.masks[index].any()) for index in range(1338)]
    assert marked == [tile.classes[label] != "good" for label in tile.labels]
    verify(tile)


def test_digits(tmp_path: Path) -> None:
    digits = prepared("digits", tmp_path)
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert split_sizes(digits, "holdout_80_20", "0") == (142, 36, 36)


def test_a_truncated_batch_is_named(real_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / CIFAR10.folder
    shutil.copytree(real_data / CIFAR10.folder, folder)
    batch = folder / "data_batch_4"
    batch.write_bytes(batch.read_bytes()[:-1000])
    with pytest.raises(DataMissing, match=r"data_batch_4 is not .*31034696 bytes.*expected 31035696 bytes"):
        CIFAR10().read(tmp_path)


def test_an_altered_idx_file_is_named(real_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / MNIST.folder
    shutil.copytree(real_data / MNIST.folder, folder)
    labels = folder / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\0")
    with pytest.raises(DataMissing, match="t10k-labels-idx1-ubyte is not the published file"):
        MNIST().read(tmp_path)

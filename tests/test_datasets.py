"""Every dataset plugin on small files made here, and the cache of prepared arrays."""

from __future__ import annotations

import gzip
import hashlib
import io
import multiprocessing
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from bench.dataset import LabelledImages
from bench.datasets import cifar100, coil100
from bench.datasets._published import Published, PublishedFiles
from bench.datasets.cifar10 import CIFAR10
from bench.datasets.cifar10_c import CIFAR10C
from bench.datasets.cifar100 import CIFAR100, CLASSES, COARSE, SUPERCLASSES
from bench.datasets.coil100 import COIL100
from bench.datasets.digits import Digits
from bench.datasets.fashion_mnist import FashionMNIST
from bench.datasets.folder import Folder
from bench.datasets.mnist import MNIST
from bench.errors import BenchError, DataMissing
from bench.prepared import open_prepared, prepare, verify
from bench.registry import Registry
from bench.specs import parse_spec

RANDOM = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def published(folder: Path) -> dict[str, Published]:
    return {f.name: Published(hashlib.md5(f.read_bytes()).hexdigest(), f.stat().st_size) for f in folder.iterdir()}


def refused(call: Callable[[], object], *parts: object, error: type[BenchError] = DataMissing) -> str:
    """The message of the error, which names all the parts."""
    with pytest.raises(error) as caught:
        call()
    for part in parts:
        assert str(part) in str(caught.value)
    return str(caught.value)


def test_every_dataset_is_found_and_usable() -> None:
    plugins = Registry("dataset").plugins
    names = {"cifar10", "cifar10_c", "cifar100", "coil100", "digits", "fashion_mnist", "folder", "mnist"}
    names |= {"mvtec_ad", "mvtec_ad_2", "visa", "btad", "mpdd", "dagm", "magnetic_tile"}
    assert names <= plugins.keys()
    assert all(plugins[name].summary and not plugins[name].problem for name in names)


def test_digits(tmp_path: Path) -> None:
    digits = prepare(Digits(), "digits", "digits", tmp_path)
    Digits().fetch(tmp_path)
    assert digits.images.shape == (1797, 8, 8, 1)
    assert (digits.images.min(), digits.images.max()) == (0, 255)
    assert digits.is_test is None
    assert digits.classes == tuple("0123456789")
    assert Digits().default_protocol(tmp_path) == "holdout_80_20"


# ---------------------------------------------------------------------------------------------------------------------
# Published files: MNIST and CIFAR


@pytest.fixture
def mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, np.ndarray]]:
    """A data folder with an MNIST of 6 + 4 images, and what its files hold."""
    raw = tmp_path / "MNIST/raw"
    raw.mkdir(parents=True)
    arrays = {}
    for part, n in (("train", 6), ("t10k", 4)):
        images, labels = noise(n, 28, 28), np.arange(n, dtype=np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 0x803, n, 28, 28) + images.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, n) + labels.tobytes())
        arrays[part] = images
    monkeypatch.setattr(MNIST, "files", published(raw))
    return tmp_path, arrays


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, np.ndarray]:
    """A data folder with a CIFAR-10 of two images a batch, and all its images."""
    from torchvision import datasets

    folder, images = tmp_path / CIFAR10.folder, noise(12, 32, 32, 3)
    folder.mkdir()
    for i, file in enumerate(CIFAR10.files):
        content: dict[str, Any] = {"label_names": [f"class {c}" for c in range(10)]}
        if file != "batches.meta":
            pixels = images[2 * i : 2 * i + 2].transpose(0, 3, 1, 2).reshape(2, -1)
            content = {"data": pixels, "labels": [i, 9]}
        (folder / file).write_bytes(pickle.dumps(content))
    facts = published(folder)
    monkeypatch.setattr(CIFAR10, "files", facts)
    batches = [[file, facts[file].md5] for file in sorted(facts) if file.startswith("data")]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", batches)
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", facts["test_batch"].md5]])
    meta = {**datasets.CIFAR10.meta, "md5": facts["batches.meta"].md5}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return tmp_path, images


def test_mnist_is_read(mnist: tuple[Path, dict[str, np.ndarray]]) -> None:
    root, arrays = mnist
    content = MNIST().read(root)
    np.testing.assert_array_equal(content.images[..., 0], np.concatenate([arrays["train"], arrays["t10k"]]))
    assert content.labels.tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]
    assert content.is_test is not None
    assert content.is_test.tolist() == [False] * 6 + [True] * 4
    assert content.classes == tuple("0123456789")


def test_mnist_is_read_from_gz_files(mnist: tuple[Path, dict[str, np.ndarray]]) -> None:
    root, _ = mnist
    plain = MNIST().read(root)
    for file in MNIST().source_files(root):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    np.testing.assert_array_equal(MNIST().read(root).images, plain.images)
    packed = root / "MNIST/raw/train-labels-idx1-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:-9])
    refused(lambda: MNIST().read(root), packed, "cannot be read")


def test_cifar10_is_read(cifar10: tuple[Path, np.ndarray]) -> None:
    root, images = cifar10
    content = CIFAR10().read(root)
    np.testing.assert_array_equal(content.images, images)
    assert content.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9, 5, 9]
    assert content.is_test is not None
    assert content.is_test.nonzero()[0].tolist() == [10, 11]


def corrupted_cifar(root: Path) -> tuple[np.ndarray, Path]:
    """CIFAR-10-C of one corruption beside a CIFAR-10 of two test images, as its authors laid it out; its images."""
    folder, images = root / "CIFAR-10-C", noise(10, 32, 32, 3)
    folder.mkdir()
    np.save(folder / "fog.npy", images)
    np.save(folder / "labels.npy", np.tile(np.array([5, 9], np.uint8), 5))
    return images, folder


def test_cifar10_c_has_clean_training_images_and_test_images_of_one_severity(cifar10: tuple[Path, np.ndarray]) -> None:
    root, clean = cifar10
    images, _ = corrupted_cifar(root)
    content = CIFAR10C(corruption="fog", severity=4).read(root)
    np.testing.assert_array_equal(content.images, np.concatenate([clean[:10], images[6:8]]))
    assert content.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9, 5, 9]
    assert content.is_test is not None
    assert content.is_test.nonzero()[0].tolist() == [10, 11]


def test_a_cifar10_c_that_is_absent_or_altered_is_named(cifar10: tuple[Path, np.ndarray]) -> None:
    source = CIFAR10C(corruption="fog", severity=1)
    refused(lambda: source.source_files(cifar10[0]), "CIFAR-10-C/fog.npy", "zenodo.org/records/2535967")
    images, folder = corrupted_cifar(cifar10[0])
    assert len(source.source_files(cifar10[0])) == len(CIFAR10.files) + 2
    np.save(folder / "labels.npy", np.tile(np.array([5, 8], np.uint8), 5))
    refused(lambda: source.read(cifar10[0]), folder / "labels.npy", "other labels")
    np.save(folder / "fog.npy", images[:9])
    refused(lambda: source.read(cifar10[0]), folder / "fog.npy", "not uint8 (10, 32, 32, 3)")
    (folder / "fog.npy").write_bytes(b"no array")
    refused(lambda: source.read(cifar10[0]), folder / "fog.npy", "cannot be read")


@pytest.mark.parametrize("source", [MNIST(), FashionMNIST(), CIFAR10(), CIFAR100()], ids=lambda source: source.name)
def test_every_absent_file_is_named_with_the_command_that_fetches_it(source: PublishedFiles, tmp_path: Path) -> None:
    expected = [tmp_path / source.folder / file for file in source.files]
    refused(lambda: source.source_files(tmp_path), *expected, f"bench data fetch {source.name} --data {tmp_path}")
    expected[0].parent.mkdir(parents=True)
    expected[0].touch()
    message = refused(lambda: source.source_files(tmp_path), *expected[1:])
    assert f"{expected[0]}\n" not in message


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_an_altered_idx_file_is_named(mnist: tuple[Path, dict[str, np.ndarray]], file: str) -> None:
    spoil_and_restore(MNIST(), mnist[0], file)


@pytest.mark.parametrize("file", ["data_batch_3", "test_batch", "batches.meta"])
def test_an_altered_cifar_batch_is_named(cifar10: tuple[Path, np.ndarray], file: str) -> None:
    spoil_and_restore(CIFAR10(), cifar10[0], file)


def spoil_and_restore(source: PublishedFiles, root: Path, file: str) -> None:
    path = root / source.folder / file
    original = path.read_bytes()
    wanted, again = source.files[file], f"bench data fetch {source.name} --data {root}"
    path.write_bytes(original[:-1])
    refused(lambda: source.read(root), path, f"{len(original) - 1} bytes", wanted, again)
    path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    refused(lambda: source.read(root), path, f"{len(original)} bytes", wanted.md5, again)
    path.write_bytes(original)
    source.read(root)


@pytest.mark.parametrize("source", [CIFAR10(), CIFAR100()], ids=lambda source: source.name)
def test_md5s_are_those_of_torchvision(source: PublishedFiles) -> None:
    theirs = source.torchvision_class()
    listed = dict([*theirs.train_list, *theirs.test_list, [theirs.meta["filename"], theirs.meta["md5"]]])
    assert {file: facts.md5 for file, facts in source.files.items()} == listed


def test_fashion_classes_are_those_of_torchvision() -> None:
    assert list(FashionMNIST.classes) == FashionMNIST().torchvision_class().classes


@pytest.mark.parametrize("source", [MNIST(), FashionMNIST(), CIFAR10(), CIFAR100()], ids=lambda source: source.name)
@pytest.mark.parametrize("offline", [True, False], ids=["offline", "truncated"])
def test_a_failed_download_is_explained_and_leaves_nothing(
    source: PublishedFiles, offline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import utils

    def retrieve(url: str, filename: str, **options: object) -> None:
        if offline:
            raise URLError("no route to host")
        Path(filename).write_bytes(b"the first bytes")

    monkeypatch.setattr(utils, "_urlretrieve", retrieve)
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, **options: url)
    reason = "no route to host" if offline else "corrupted"
    files = [tmp_path / source.folder / file for file in source.files]
    refused(lambda: source.fetch(tmp_path), source.name, reason, *files, "$BENCH_DATA", error=BenchError)
    assert list(tmp_path.iterdir()) == []


def test_a_download_replaces_what_is_wrong_and_leaves_what_is_right(
    mnist: tuple[Path, dict[str, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = mnist
    store = root.parent / f"{root.name}-mirror"
    shutil.copytree(root, store)
    downloads = []

    def download(folder: str, download: bool) -> None:
        downloads.append(folder)
        shutil.copytree(store, folder, dirs_exist_ok=True)

    monkeypatch.setattr(MNIST, "torchvision_class", lambda self: download)
    MNIST().fetch(root)
    assert downloads == []
    (root / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"half")
    MNIST().fetch(root)
    assert len(downloads) == 1
    MNIST().check(root)
    assert [path.name for path in root.iterdir()] == ["MNIST"]
    shutil.rmtree(root / "MNIST")
    (store / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"half")
    refused(lambda: MNIST().fetch(root), "train-images-idx3-ubyte", "4 bytes", error=BenchError)
    assert list(root.iterdir()) == []


def test_a_download_to_an_unusable_folder_is_explained(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    refused(lambda: MNIST().fetch(tmp_path / "data"), tmp_path / "data", error=BenchError)


# ---------------------------------------------------------------------------------------------------------------------
# CIFAR-100


def subset(root: Path, drop: str = "", **changes: np.ndarray) -> Path:
    """Write a cifar100.npz with three images of each of apple, pear and bee, split 2 : 1."""
    fine = np.array([CLASSES.index(name) for name in ("apple", "pear", "bee")], dtype=np.uint8)
    coarse = np.array([list(SUPERCLASSES).index(COARSE[CLASSES[i]]) for i in fine], dtype=np.uint8)
    arrays = {
        "x_train": noise(6, 32, 32, 3), "y_train": fine.repeat(2), "coarse_train": coarse.repeat(2),
        "x_test": noise(3, 32, 32, 3), "y_test": fine, "coarse_test": coarse,
        "fine_names": np.array(CLASSES), "coarse_names": np.array(list(SUPERCLASSES)),
    }  # fmt: skip
    arrays |= changes
    arrays.pop(drop, None)
    np.savez(root / "cifar100.npz", **arrays)  # type: ignore[arg-type]
    return root / "cifar100.npz"


def test_cifar100_table_of_superclasses() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == 100
    assert {len(names.split()) for names in SUPERCLASSES.values()} == {5}
    assert list(SUPERCLASSES) == sorted(SUPERCLASSES)


def test_cifar100_subset_keeps_names_and_numbers(tmp_path: Path) -> None:
    path = subset(tmp_path)
    assert CIFAR100().source_files(tmp_path) == [path]
    content = CIFAR100().read(tmp_path)
    assert content.images.shape == (9, 32, 32, 3)
    assert [content.classes[i] for i in content.labels[-3:]] == ["apple", "pear", "bee"]
    assert content.superclasses is not None
    assert [content.superclasses[i] for i in content.labels[-3:]] == ["fruit_and_vegetables"] * 2 + ["insects"]
    assert content.is_test is not None
    assert content.is_test.tolist() == [False] * 6 + [True] * 3


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"drop": "coarse_test"}, "lacks the arrays coarse_test"),
        ({"x_train": noise(6, 3, 32, 32)}, "x_train is uint8 (6, 3, 32, 32)"),
        ({"x_test": np.zeros((3, 32, 32, 3))}, "x_test is float64"),
        ({"y_train": np.zeros(5, int)}, "y_train and coarse_train are not 6 whole numbers"),
        ({"y_test": np.array([0, 1, 100])}, "y_test must lie in 0..99"),
        ({"coarse_test": np.array([4, 4, 4])}, "coarse_test does not give"),
        ({"fine_names": np.array(CLASSES[::-1])}, "fine_names are not the 100 published names"),
        ({"fine_names": np.array(CLASSES, dtype=object)}, "allow_pickle"),
    ],
)
def test_cifar100_subset_that_is_not_one(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    path = subset(tmp_path, **change)
    refused(lambda: CIFAR100().read(tmp_path), path, problem, "bench data fetch cifar100")


def test_cifar100_subset_that_is_damaged(tmp_path: Path) -> None:
    path = subset(tmp_path)
    whole = path.read_bytes()
    one_pixel_changed = whole[:9000] + bytes([whole[9000] ^ 1]) + whole[9001:]
    for damaged in (b"", whole[:-100], one_pixel_changed):
        path.write_bytes(damaged)
        refused(lambda: CIFAR100().read(tmp_path), path)


def test_cifar100_prefers_the_original_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    subset(tmp_path)
    folder = tmp_path / CIFAR100.folder
    folder.mkdir()
    for file, n in (("train", 2), ("test", 1)):
        batch = {"data": noise(n, 3072), "fine_labels": [99] * n}
        (folder / file).write_bytes(pickle.dumps(batch))
    assert CIFAR100().source_files(tmp_path) == [tmp_path / cifar100.SUBSET]
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": list(CLASSES)}))
    facts = published(folder)
    monkeypatch.setattr(CIFAR100, "files", facts)
    monkeypatch.setattr(datasets.CIFAR100, "train_list", [["train", facts["train"].md5]])
    monkeypatch.setattr(datasets.CIFAR100, "test_list", [["test", facts["test"].md5]])
    monkeypatch.setattr(datasets.CIFAR100, "meta", {**datasets.CIFAR100.meta, "md5": facts["meta"].md5})
    content = CIFAR100().read(tmp_path)
    assert content.labels.tolist() == [99, 99, 99]
    assert content.superclasses is not None
    assert (content.classes[99], content.superclasses[99]) == ("worm", "non-insect_invertebrates")


# ---------------------------------------------------------------------------------------------------------------------
# COIL-100


@pytest.fixture
def coil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a COIL of two objects from four sides."""
    monkeypatch.setattr(coil100, "OBJECTS", range(1, 3))
    monkeypatch.setattr(coil100, "ANGLES", range(0, 20, 5))
    monkeypatch.setattr(coil100, "NAMES", tuple(f"obj{n}__{a}.png" for n in (1, 2) for a in (0, 5, 10, 15)))
    for i, name in enumerate(coil100.NAMES):
        save(tmp_path / "coil-100" / name, np.full((6, 6, 3), i, np.uint8))
    return tmp_path


def zipped(root: Path) -> Path:
    with zipfile.ZipFile(root / "coil-100.zip", "w") as archive:
        for file in (root / "coil-100").iterdir():
            archive.write(file, f"some/where/{file.name}")
    shutil.rmtree(root / "coil-100")
    return root / "coil-100.zip"


def test_coil_has_thousands_of_names() -> None:
    assert len(set(coil100.NAMES)) == 7200
    assert coil100.NAMES[0] == "obj1__0.png"
    assert coil100.NAMES[-1] == "obj100__355.png"


def test_coil_from_folder_and_from_zip(coil: Path) -> None:
    assert len(COIL100().source_files(coil)) == 8
    content = COIL100().read(coil)
    COIL100().fetch(coil)
    assert content.images.shape == (8, 6, 6, 3)
    assert content.images[:, 0, 0, 0].tolist() == list(range(8))
    assert content.labels.tolist() == [0] * 4 + [1] * 4
    assert content.classes == ("obj1", "obj2")
    assert content.is_test is None
    archive = zipped(coil)
    assert COIL100().source_files(coil) == [archive]
    np.testing.assert_array_equal(COIL100().read(coil).images, content.images)


def test_coil_missing_files_are_listed(coil: Path) -> None:
    for name in ("obj1__5.png", "obj2__15.png"):
        (coil / "coil-100" / name).unlink()
    message = refused(lambda: COIL100().source_files(coil), "obj1__5.png", "obj2__15.png", "coil-100.zip", "Columbia")
    assert "obj1__10.png" not in message
    refused(lambda: COIL100().fetch(coil), "Columbia", coil / "coil-100.zip", error=BenchError)
    archive = zipped(coil)
    refused(lambda: COIL100().read(coil), archive / "obj1__5.png", archive / "obj2__15.png")


def test_coil_unreadable_files_are_named(coil: Path) -> None:
    path = coil / "coil-100/obj2__5.png"
    path.write_bytes(path.read_bytes()[:40])
    refused(lambda: COIL100().read(coil), path)
    archive = zipped(coil)
    refused(lambda: COIL100().read(coil), archive / "obj2__5.png")
    archive.write_bytes(archive.read_bytes()[:-30])
    refused(lambda: COIL100().read(coil), archive, "cannot be unpacked")


def test_coil_of_two_sizes(coil: Path) -> None:
    odd = save(coil / "coil-100/obj1__10.png", noise(5, 4, 3))
    refused(lambda: COIL100().read(coil), odd, "4×5", "6×6")


# ---------------------------------------------------------------------------------------------------------------------
# Folders of one's own


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """A data folder with ``own/cat`` and ``own/dog``, two grey pictures each."""
    for i, name in enumerate(("cat", "dog")):
        for j in range(2):
            save(tmp_path / f"own/{name}/{j}.png", np.full((9, 7), 10 * i + j, np.uint8))
    return tmp_path


@pytest.fixture
def mvtec(tmp_path: Path) -> Path:
    """A data folder with ``tiles`` in the layout of MVTec-AD."""
    for file in ("train/good/0.png", "train/good/1.png", "test/good/0.png", "test/crack/0.png"):
        save(tmp_path / "tiles" / file, noise(8, 8, 3))
    return tmp_path


def test_folder_of_classes(classes: Path) -> None:
    (classes / "own/.hidden").mkdir()
    (classes / "own/cat/.thumb.png").touch()
    (classes / "own/cat/notes.txt").touch()
    (classes / "own/notes.txt").touch()
    own = Folder(path="own", size=5)
    content = own.read(classes)
    assert content.images.shape == (4, 5, 5, 1)
    assert content.images[:, 2, 2, 0].tolist() == [0, 1, 10, 11]
    assert content.labels.tolist() == [0, 0, 1, 1]
    assert content.classes == ["cat", "dog"]
    assert content.is_test is None
    assert own.default_protocol(classes) == "holdout_80_20"
    np.testing.assert_array_equal(Folder(path=str(classes / "own"), size=5).read(Path("/")).images, content.images)


def test_folder_in_the_layout_of_mvtec(mvtec: Path) -> None:
    tiles = Folder(path="tiles", size=8)
    content = tiles.read(mvtec)
    assert content.classes == ["crack", "good"]
    assert content.is_test is not None
    assert list(zip(content.labels.tolist(), content.is_test.tolist(), strict=True)) == [
        (1, False), (1, False), (0, True), (1, True),
    ]  # fmt: skip
    assert content.images.shape == (4, 8, 8, 3)
    assert tiles.default_protocol(mvtec) == "train_test_folders"
    assert len(tiles.source_files(mvtec)) == 4


@pytest.mark.parametrize(
    ("files", "colours", "checksum"),
    [
        (("cat/0", "cat/1", "dog/0"), 1, "5838af9e1aecc"),
        (("train/good/0", "train/good/1", "test/good/0", "test/crack/0"), 3, "0c0246a5468028"),
    ],
)
def test_a_folder_without_masks_keeps_its_checksum(
    files: tuple[str, ...], colours: int, checksum: str, tmp_path: Path
) -> None:
    for number, file in enumerate(files):
        drawn = np.random.default_rng(number).integers(0, 256, (9, 7, colours), dtype=np.uint8)
        save(tmp_path / f"own/{file}.png", drawn.squeeze())
    text = "folder(path='own',size=6)"
    assert prepare(Folder(path="own", size=6), "folder", text, tmp_path).checksum.startswith(checksum)


@pytest.mark.parametrize("suffix", [".PNG", ".jpg", ".JPEG", ".bmp", ".tif", ".tiff", ".WebP"])
def test_folder_takes_every_suffix(classes: Path, suffix: str) -> None:
    save(classes / f"own/dog/other{suffix}", noise(20, 30, 3))
    assert Folder(path="own").read(classes).images.shape == (5, 64, 64, 3)


def test_folder_pictures_become_upright_8_bit(classes: Path) -> None:
    dog = classes / "own/dog"
    sixteen = np.array([[0, 257], [128 * 257, 65535]], dtype=np.uint16)
    save(dog / "a.png", sixteen)
    save(dog / "b.tif", sixteen.astype(np.int32))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    save(dog / "c.png", np.array([[255, 128], [1, 0]], np.uint8), exif=exif)
    Image.fromarray(np.array([[0, 1], [128, 255]], np.uint8)).convert("LA").save(dog / "d.png")
    images = Folder(path="own", size=2).read(classes).images
    for image in images[-4:]:
        assert image[..., 0].tolist() == [[0, 1], [128, 255]]


@pytest.mark.parametrize("pixels", [np.zeros((2, 2), np.float32), np.full((2, 2), 70_000, np.int32)])
def test_folder_refuses_pictures_of_unknown_scale(classes: Path, pixels: np.ndarray) -> None:
    path = save(classes / "own/dog/odd.tif", pixels)
    refused(lambda: Folder(path="own").read(classes), path, "8 or 16 bits")


def test_folder_errors_name_what_is_wrong(classes: Path, mvtec: Path) -> None:
    parts = "folder(path='owm'", Path.cwd() / "owm", classes / "owm", "relative to the folder that you type in"
    refused(lambda: Folder(path="owm").source_files(classes), *parts)
    absolute = str(classes / "owm")
    assert refused(lambda: Folder(path=absolute).source_files(Path("data"))).count(absolute) == 2
    refused(lambda: Folder(path="owm").fetch(classes), Path.cwd() / "owm", "<class>", error=BenchError)
    unreadable = classes / "own/cat/x.jpg"
    unreadable.write_bytes(b"no picture")
    refused(lambda: Folder(path="own").read(classes), unreadable)
    unreadable.unlink()
    (classes / "own/emu").mkdir()
    refused(lambda: Folder(path="own").source_files(classes), classes / "own/emu", error=BenchError)
    (classes / "own/emu").rmdir()
    shutil.rmtree(classes / "own/dog")
    refused(lambda: Folder(path="own").source_files(classes), "only the class 'cat'", error=BenchError)
    shutil.rmtree(classes / "own/cat")
    refused(lambda: Folder(path="own").source_files(classes), classes / "own", "<class>/<image>")
    shutil.rmtree(mvtec / "tiles/train/good")
    refused(lambda: Folder(path="tiles").source_files(mvtec), mvtec / "tiles/train")
    refused(lambda: Folder(path="tiles", size=0), "at least 1", error=BenchError)
    refused(lambda: Folder(path=""), "path", error=BenchError)


def test_a_folders_path_is_that_of_the_working_folder_then_of_the_data_folder(
    classes: Path, mvtec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, work = tmp_path / "data", tmp_path / "work"
    work.mkdir()
    shutil.copytree(classes / "own", data / "own")
    monkeypatch.chdir(work)
    in_data = prepare_own(data)
    assert Folder(path="own").elsewhere(data) == ""
    shutil.copytree(mvtec / "tiles", work / "own")
    here = prepare_own(data)
    assert here != in_data
    assert Folder(path="own").elsewhere(data) == str(work / "own")
    assert Folder(path="own").default_protocol(data) == "train_test_folders"
    assert Folder(path=str(data / "own")).elsewhere(data) == ""


def test_what_was_prepared_in_one_working_folder_does_not_serve_in_another(
    classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    shutil.copytree(classes / "own", tmp_path / "one/own")
    before = prepare_own(data)
    shutil.rmtree(tmp_path / "one/own")
    assert prepare_own(data) == before, "where it was"
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(DataMissing, match="there is no folder"):
        prepare_own(data)


def test_folder_spec_needs_a_path() -> None:
    registry = Registry("dataset")
    assert registry.build(parse_spec("folder(path='own',size=32)")).size == 32
    refused(lambda: registry.build(parse_spec("folder")), "path", error=BenchError)


# ---------------------------------------------------------------------------------------------------------------------
# The cache of prepared arrays


class Counting(Folder):
    """Counts how often the original files are read."""

    def read(self, root: Path) -> LabelledImages:
        self.reads = getattr(self, "reads", 0) + 1
        return super().read(root)


def prepare_own(root: Path, source: Folder | None = None) -> str:
    return prepare(source or Folder(path="own"), "folder", "folder(path='own')", root).checksum


def test_prepared_arrays_are_mapped_and_read_once(classes: Path) -> None:
    source = Counting(path="own")
    first = prepare(source, "folder", "folder(path='own')", classes)
    second = prepare(source, "folder", "folder(path='own')", classes)
    assert source.reads == 1
    assert isinstance(second.images, np.memmap)
    assert not second.images.flags.writeable
    assert (first.checksum, first.folder) == (second.checksum, second.folder)
    verify(second)


def test_changed_files_are_read_again(classes: Path) -> None:
    source = Counting(path="own")
    before = prepare_own(classes, source)
    save(classes / "own/cat/0.png", np.full((9, 7), 200, np.uint8))
    assert prepare_own(classes, source) != before
    save(classes / "own/cat/2.png", noise(9, 7))
    prepare_own(classes, source)
    assert source.reads == 3


def test_the_checksum_is_that_of_the_content(classes: Path) -> None:
    before = prepare_own(classes)
    os.utime(classes / "own/cat/0.png", ns=(1, 1))
    assert prepare_own(classes) == before
    (classes / "own/cat").rename(classes / "own/cow")
    assert prepare_own(classes) != before


def test_prepared_arrays_serve_where_the_files_are_gone(classes: Path) -> None:
    before = prepare_own(classes)
    shutil.rmtree(classes / "own")
    assert prepare_own(classes) == before
    with pytest.raises(DataMissing):
        prepare(Folder(path="own", size=8), "folder", "folder(path='own',size=8)", classes)


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "is_test.npy"])
def test_damaged_prepared_arrays_are_noticed(mvtec: Path, file: str) -> None:
    prepared = prepare(Folder(path="tiles"), "folder", "folder(path='tiles')", mvtec)
    path = prepared.folder / file
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused(lambda: verify(open_prepared(prepared.folder)), path, "altered", "rm -r", error=BenchError)
    path.write_bytes(whole[:-1])
    refused(lambda: open_prepared(prepared.folder), path, f"not {len(whole)}", "rm -r", error=BenchError)
    path.unlink()
    refused(lambda: open_prepared(prepared.folder), path, "is not there", error=BenchError)
    shutil.rmtree(prepared.folder)
    verify(prepare(Folder(path="tiles"), "folder", "folder(path='tiles')", mvtec))


def test_damaged_meta_is_noticed(classes: Path) -> None:
    prepare_own(classes)
    (meta,) = classes.glob("prepared/*/meta.json")
    for text in ("", "{}", "[1"):
        meta.write_text(text)
        refused(lambda: prepare_own(classes), meta, "rm -r", error=BenchError)


def test_two_processes_prepare_at_once(classes: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        checksums = pool.map(prepare_own, [classes] * 4, chunksize=1)
    assert len(set(checksums)) == 1
    assert len(list((classes / "prepared").iterdir())) == 1


def test_the_second_to_finish_takes_what_the_first_wrote(classes: Path) -> None:
    class Slow(Folder):
        def read(self, root: Path) -> LabelledImages:
            self.other = prepare_own(root)
            return super().read(root)

    slow = Slow(path="own")
    assert prepare_own(classes, slow) == slow.other
    assert len(list((classes / "prepared").iterdir())) == 1


def test_an_unwritable_data_folder_is_explained(classes: Path) -> None:
    (classes / "prepared").write_text("a file where the folder should be")
    refused(lambda: prepare_own(classes), classes / "prepared", "$BENCH_DATA", error=BenchError)


def test_a_full_disk_leaves_nothing_behind(classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(out: io.BufferedWriter, array: np.ndarray) -> None:
        out.write(b"the first bytes")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    refused(lambda: prepare_own(classes), "No space left", error=BenchError)
    assert list((classes / "prepared").iterdir()) == []

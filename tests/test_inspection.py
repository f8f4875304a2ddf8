"""Datasets of industrial parts on small made-up copies of their trees, and what is said of bad ones."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.dataset import PreparedDataset
from bench.datasets import mvtec_ad
from bench.datasets._archive import Archive
from bench.datasets.btad import BTAD
from bench.datasets.mvtec_ad import MVTecAD
from bench.errors import BenchError, DataMissing
from bench.execution.measurement import measure
from bench.execution.run import Options, plan
from bench.execution.run import prepare as tasks_of
from bench.jobs import Request, expand
from bench.prepared import compare, prepare
from bench.protocol import open_protocol
from bench.registry import Registry
from bench.specs import parse_spec
from bench.workspace import open_workspace

REGISTRY = Registry("dataset")
RANDOM = np.random.default_rng(0)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def picture(path: Path, height: int = 12, width: int = 10, *, grey: bool = False) -> Path:
    return save(path, RANDOM.integers(0, 256, (height, width) if grey else (height, width, 3), dtype=np.uint8))


def marked(path: Path, height: int = 12, width: int = 10, *, value: int = 255) -> Path:
    """A mask with a defect of two rows and three columns at its upper left corner."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[:2, :3] = value
    return save(path, pixels)


def mvtec(root: Path) -> None:
    for category, size in (("bottle", (12, 10)), ("screw", (20, 24))):
        at = root / "mvtec_anomaly_detection" / category
        for file in ("train/good/000.png", "train/good/001.png", "test/good/000.png"):
            picture(at / file, *size, grey=category == "screw")
        for kind in ("crack", "bent"):
            picture(at / f"test/{kind}/000.png", *size, grey=category == "screw")
            marked(at / f"ground_truth/{kind}/000_mask.png", *size)
        (at / "license.txt").touch()


def mvtec_2(root: Path) -> None:
    at = root / "mvtec_ad_2/can"
    for file in ("train/good/1_regular.png", "validation/good/2_regular.png", "test_public/good/3_regular.png"):
        picture(at / file)
    picture(at / "test_public/bad/4_overexposed.png")
    marked(at / "test_public/ground_truth/bad/4_overexposed_mask.png")
    picture(at / "test_private/5_regular.png")
    picture(at / "test_private_mixed/6_mixed.png")


def btad(root: Path) -> None:
    for category, suffix, mask in (("01", "bmp", "png"), ("02", "png", "png"), ("03", "bmp", "bmp")):
        at = root / "BTech_Dataset_transformed" / category
        for file in ("train/ok/0000", "test/ok/0001", "test/ko/0002"):
            picture(at / f"{file}.{suffix}")
        marked(at / f"ground_truth/ko/0002.{mask}")


def mpdd(root: Path) -> None:
    at = root / "MPDD/metal_plate"
    for file in ("train/good/000.png", "test/good/000.png", "test/parts_mismatch/001.png"):
        picture(at / file)
    marked(at / "ground_truth/parts_mismatch/001_mask.png")


def visa(root: Path) -> None:
    at = root / "VisA_20220922"
    rows = ["object,split,label,image,mask"]
    for category in ("candle", "pcb1"):
        images, masks = f"{category}/Data/Images", f"{category}/Data/Masks"
        for place, split in enumerate(("train", "train", "test")):
            rows.append(f"{category},{split},normal,{images}/Normal/{place:04}.JPG,")
            picture(at / images / f"Normal/{place:04}.JPG")
        rows.append(f"{category},test,anomaly,{images}/Anomaly/000.JPG,{masks}/Anomaly/000.png")
        picture(at / images / "Anomaly/000.JPG")
        marked(at / masks / "Anomaly/000.png", value=2)
    (at / "split_csv").mkdir()
    (at / "split_csv/1cls.csv").write_text("\n".join(rows) + "\n")


def dagm(root: Path) -> None:
    for split, first in (("Train", 1), ("Test", 5)):
        at = root / "DAGM2007/Class1" / split
        lines = ["1"]
        for number in range(first, first + 3):
            is_defect = number == first + 1
            picture(at / f"{number:04}.PNG", 16, 16, grey=True)
            mask = f"{number:04}_label.PNG" if is_defect else "0"
            lines.append(f"{number}\t{int(is_defect)}\t{number:04}.PNG\t0\t{mask}")
            if is_defect:
                marked(at / "Label" / mask, 16, 16)
        (at / "Label/Labels.txt").write_text("\r\n".join(lines) + "\r\n")


def magnetic_tile(root: Path) -> None:
    parts(root / "magnetic_tile")


def parts(at: Path) -> Path:
    """One category in MVTec AD's layout, as a user would lay out pictures."""
    for file in ("train/good/a.png", "train/good/b.png", "test/good/a.png", "test/fray/a.png", "test/hole/a.png"):
        picture(at / file, grey=True)
    marked(at / "ground_truth/fray/a_mask.png")
    marked(at / "ground_truth/hole/a_mask.png")
    return at


LAYOUTS: dict[str, tuple[Callable[[Path], None], dict[str, tuple[int, int]]]] = {
    "mvtec_ad": (
        mvtec,
        {
            "bottle/good": (2, 1), "bottle/bent": (0, 1), "bottle/crack": (0, 1),
            "screw/good": (2, 1), "screw/bent": (0, 1), "screw/crack": (0, 1),
        },
    ),
    "mvtec_ad_2": (mvtec_2, {"can/good": (1, 1), "can/bad": (0, 1)}),
    "btad": (btad, {f"{category}/{kind}": split for category in ("01", "02", "03") for kind, split in
                    (("ok", (1, 1)), ("ko", (0, 1)))}),
    "mpdd": (mpdd, {"metal_plate/good": (1, 1), "metal_plate/parts_mismatch": (0, 1)}),
    "visa": (visa, {"candle/good": (2, 1), "candle/bad": (0, 1), "pcb1/good": (2, 1), "pcb1/bad": (0, 1)}),
    "dagm": (dagm, {"Class1/good": (2, 2), "Class1/bad": (1, 1)}),
    "magnetic_tile": (magnetic_tile, {"fray": (0, 1), "good": (2, 1), "hole": (0, 1)}),
}  # fmt: skip
"""By dataset: what writes a copy of its tree, and by class how many pictures train and test."""


def prepared(spec: str, root: Path) -> PreparedDataset:
    resolved = REGISTRY.resolve(parse_spec(spec))
    return prepare(REGISTRY.build(resolved), resolved.name, str(resolved), root)


def refused(call: Callable[[], object], *told: object, error: type[BenchError] = BenchError) -> None:
    with pytest.raises(error) as caught:
        call()
    for each in told:
        assert str(each) in str(caught.value)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_dataset_is_read_as_its_publisher_lays_it_out(name: str, tmp_path: Path) -> None:
    write, counts = LAYOUTS[name]
    write(tmp_path)
    dataset = prepared(f"{name}(size=6)", tmp_path)
    assert dataset.classes == tuple(counts)
    assert dataset.is_test is not None
    assert dataset.masks is not None
    for label, split in enumerate(counts.values()):
        own = dataset.labels == label
        assert ((own & ~dataset.is_test).sum(), (own & dataset.is_test).sum()) == split
    for index, label in enumerate(dataset.labels):
        is_normal = dataset.classes[label].endswith(("good", "ok"))
        assert dataset.masks[index].sum() == (0 if is_normal else 6)
    assert dataset.images[:].shape == (len(dataset.labels), 6, 6, 1 if name in ("dagm", "magnetic_tile") else 3)
    compare(dataset, REGISTRY.build(parse_spec(name)).read(tmp_path))


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "magnetic_tile"])
def test_each_category_has_its_own_detector(name: str, tmp_path: Path) -> None:
    LAYOUTS[name][0](tmp_path)
    dataset = prepared(name, tmp_path)
    source = REGISTRY.build(parse_spec(name))
    assert source.default_protocol(tmp_path) == "category"
    protocol = open_protocol("category", Registry("protocol"))
    categories = list(dict.fromkeys(each.partition("/")[0] for each in dataset.classes))
    assert protocol.normal_classes(dataset) == categories
    assert dataset.is_test is not None
    for category in categories:
        split = protocol.split(dataset, category, 0)
        names = [[dataset.classes[label] for label in dataset.labels[part]] for part in (split.train, split.test)]
        assert {each.partition("/")[2] for each in names[0]} <= {"good", "ok"}
        assert {each.partition("/")[0] for part in names for each in part} == {category}
        assert dataset.is_test[split.test].all()


def test_dagms_defective_training_pictures_contaminate(tmp_path: Path) -> None:
    dagm(tmp_path)
    dataset = prepared("dagm", tmp_path)
    protocol = open_protocol("category", Registry("protocol"))
    train = protocol.split(dataset, "Class1", 0, contamination=0.5).train
    assert sorted(dataset.classes[label] for label in dataset.labels[train]) == ["Class1/bad", "Class1/good"]


def test_one_kind_of_part_is_split_by_its_folders(tmp_path: Path) -> None:
    magnetic_tile(tmp_path)
    assert REGISTRY.build(parse_spec("magnetic_tile")).default_protocol(tmp_path) == "train_test_folders"
    protocol = open_protocol("train_test_folders", Registry("protocol"))
    assert protocol.normal_classes(prepared("magnetic_tile", tmp_path)) == ["good"]


def test_categories_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    mvtec(tmp_path)
    whole = prepared("mvtec_ad", tmp_path)
    shutil.rmtree(tmp_path / "mvtec_anomaly_detection/screw")
    part = prepared("mvtec_ad", tmp_path)
    assert part.classes == ("bottle/good", "bottle/bent", "bottle/crack")
    assert part.checksum != whole.checksum


def test_sizes_share_what_is_kept(tmp_path: Path) -> None:
    mvtec(tmp_path)
    small, large = prepared("mvtec_ad(size=8)", tmp_path), prepared("mvtec_ad", tmp_path)
    assert (small.folder, small.checksum) == (large.folder, large.checksum)
    assert (small.images.shape[1], large.images.shape[1]) == (8, 256)


def test_jobs_get_the_size_of_their_spec(tmp_path: Path) -> None:
    mvtec(tmp_path)
    workspace = open_workspace(None, tmp_path, tmp_path / "results")
    for size in (6, 9):
        request = Request(dataset=f"mvtec_ad(size={size})", methods="mean_image")
        planned = plan(expand(request, workspace), workspace, device="cpu")
        task = next(each for each in tasks_of(planned, workspace, Options()) if each.job.normal_class == "screw")
        outcome = measure(task, lambda epoch: None)
        assert outcome.arrays is not None, outcome.error
        images = workspace.dataset(parse_spec(f"mvtec_ad(size={size})")).images
        mean = images[np.array([5, 6])].mean(axis=0)
        wanted = ((images[outcome.arrays["indices"]] - mean) ** 2).mean(axis=(1, 2, 3)) / 255**2
        np.testing.assert_allclose(outcome.arrays["scores"], wanted, rtol=1e-4)


# ---------------------------------------------------------------------------------------------------------------------
# A folder of one's own with masks


def test_a_folder_with_masks_is_kept_at_its_own_size_and_comes_as_before(tmp_path: Path) -> None:
    parts(tmp_path / "own")
    with_masks = prepared("folder(path='own',size=7)", tmp_path)
    assert with_masks.masks is not None
    assert with_masks.masks[3].shape == (12, 10)
    (tmp_path / "own/ground_truth").rename(tmp_path / "masks")
    without = prepared("folder(path='own',size=7)", tmp_path)
    assert without.masks is None
    assert without.classes == with_masks.classes == ("fray", "good", "hole")
    np.testing.assert_array_equal(with_masks.images[:], without.images)
    np.testing.assert_array_equal(with_masks.labels, without.labels)
    np.testing.assert_array_equal(with_masks.is_test, without.is_test)


def test_masks_may_have_the_names_of_their_pictures(tmp_path: Path) -> None:
    at = parts(tmp_path / "own")
    (at / "ground_truth/fray/a_mask.png").rename(at / "ground_truth/fray/a.png")
    assert prepared("folder(path='own')", tmp_path).masks is not None


@pytest.mark.parametrize("value", [1, 255, 257])
def test_whatever_is_not_black_is_marked(value: int, tmp_path: Path) -> None:
    at = parts(tmp_path / "own")
    pixels = np.zeros((12, 10), np.uint16 if value > 255 else np.uint8)
    pixels[3, 4] = value
    save(at / "ground_truth/fray/a_mask.png", pixels)
    masks = prepared("folder(path='own')", tmp_path).masks
    assert masks is not None
    assert np.argwhere(masks[2]).tolist() == [[3, 4]]


def test_a_picture_that_lies_on_its_side_has_an_upright_mask(tmp_path: Path) -> None:
    at = parts(tmp_path / "own")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((10, 12), np.uint8)).save(at / "test/fray/a.png", exif=exif)
    masks = prepared("folder(path='own')", tmp_path).masks
    assert masks is not None
    assert masks[2].shape == (12, 10)


# ---------------------------------------------------------------------------------------------------------------------
# What is said of bad data


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    at = parts(tmp_path / "own")
    mask = marked(at / "ground_truth/hole/a_mask.png", 6, 5)
    refused(lambda: prepared("folder(path='own')", tmp_path), mask, "5×6", at / "test/hole/a.png", "10×12", "save the")
    assert not list(tmp_path.glob("prepared/*"))


@pytest.mark.parametrize("whole", [True, False], ids=["of a kind", "of a picture"])
def test_a_missing_mask_is_named(whole: bool, tmp_path: Path) -> None:
    at = parts(tmp_path / "own")
    picture(at / "test/hole/b.png")
    if whole:
        shutil.rmtree(at / "ground_truth/hole")
    absent = at / f"ground_truth/hole/{'a' if whole else 'b'}_mask.png"
    refused(lambda: prepared("folder(path='own')", tmp_path), "hole", absent, "add it, or remove the picture")


def test_a_mask_of_a_good_picture_has_to_be_empty(tmp_path: Path) -> None:
    at = parts(tmp_path / "own")
    mask = marked(at / "ground_truth/good/a_mask.png")
    refused(
        lambda: prepared("folder(path='own')", tmp_path), mask, "6 pixels", at / "test/good/a.png", "remove the mask"
    )
    save(mask, np.zeros((12, 10), np.uint8))
    masks = prepared("folder(path='own')", tmp_path).masks
    assert masks is not None
    assert not masks[3].any()


@pytest.mark.parametrize("file", ["train/good/b.png", "test/hole/a.png", "ground_truth/fray/a_mask.png"])
def test_an_unreadable_file_is_named(file: str, tmp_path: Path) -> None:
    at = parts(tmp_path / "own")
    whole = (at / file).read_bytes()
    for broken in (b"no picture", whole[: len(whole) // 2]):
        (at / file).write_bytes(broken)
        refused(lambda: prepared("folder(path='own')", tmp_path), at / file, "replace or remove", error=DataMissing)
    assert not list(tmp_path.glob("prepared/*"))
    (at / file).write_bytes(whole)
    assert prepared("folder(path='own')", tmp_path).masks is not None


def test_a_mask_as_a_jpeg_is_refused(tmp_path: Path) -> None:
    at = parts(tmp_path / "own")
    (at / "ground_truth/hole/a_mask.png").unlink()
    jpeg = marked(at / "ground_truth/hole/a_mask.jpg")
    refused(lambda: prepared("folder(path='own')", tmp_path), jpeg, "save it as PNG", error=DataMissing)


@pytest.mark.parametrize(("absent", "purpose"), [("test", "test"), ("train", "train")])
def test_a_category_without_pictures_to_train_or_test_is_named(absent: str, purpose: str, tmp_path: Path) -> None:
    mvtec(tmp_path)
    bottle = tmp_path / "mvtec_anomaly_detection/bottle"
    shutil.rmtree(bottle / absent)
    shutil.rmtree(bottle / "ground_truth")
    if absent == "train":
        shutil.rmtree(bottle / "test/crack")
        shutil.rmtree(bottle / "test/bent")
    wanted = f"{bottle} has no picture to {purpose}" if absent == "test" else "has no mask"
    refused(lambda: prepared("mvtec_ad", tmp_path), bottle, wanted)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_dataset_that_is_not_there_says_where_to_get_it(name: str, tmp_path: Path) -> None:
    source = REGISTRY.build(parse_spec(name))
    refused(lambda: source.source_files(tmp_path), name, tmp_path, "https://", error=DataMissing)


def test_lists_of_pictures_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    visa(tmp_path)
    listed = tmp_path / "VisA_20220922/split_csv/1cls.csv"
    listed.write_text("object,split\ncandle,train\n")
    refused(lambda: prepared("visa", tmp_path), listed, "columns", error=DataMissing)
    listed.unlink()
    refused(lambda: prepared("visa", tmp_path), listed, error=DataMissing)
    dagm(tmp_path)
    labels = tmp_path / "DAGM2007/Class1/Test/Label/Labels.txt"
    labels.write_text("1\n5 0\n")
    refused(lambda: prepared("dagm", tmp_path), labels, error=DataMissing)


def test_a_listed_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    visa(tmp_path)
    mask = tmp_path / "VisA_20220922/pcb1/Data/Masks/Anomaly/000.png"
    mask.unlink()
    refused(lambda: prepared("visa", tmp_path), mask, "add it")
    absent = tmp_path / "VisA_20220922/candle/Data/Images/Normal/0001.JPG"
    absent.unlink()
    refused(lambda: prepared("visa", tmp_path), absent, "is not there", error=DataMissing)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_size_of_no_pixel_is_refused(name: str) -> None:
    refused(lambda: REGISTRY.build(parse_spec(f"{name}(size=0)")), f"{name}(size=0)", "at least 1")


# ---------------------------------------------------------------------------------------------------------------------
# Archives


def packed(kind: str, root: Path) -> Path:
    """An archive of MVTec AD's or BTAD's tree, as their publishers pack them."""
    source = root / "source"
    (mvtec if kind == "tar" else btad)(source)
    if kind == "tar":
        archive = root / "mvtec_anomaly_detection.tar.xz"
        with tarfile.open(archive, "w:xz") as tar:
            for category in (source / "mvtec_anomaly_detection").iterdir():
                tar.add(category, category.name)
    else:
        archive = root / "btad.zip"
        with zipfile.ZipFile(archive, "w") as zipped:
            for file in sorted(source.rglob("*.*")):
                zipped.write(file, file.relative_to(source))
    return archive


@pytest.mark.parametrize(("kind", "source"), [("tar", MVTecAD()), ("zip", BTAD())])
@pytest.mark.parametrize("there", [True, False], ids=["in the data folder", "downloaded"])
def test_an_archive_is_checked_and_unpacked(
    kind: str, source: Any, there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = packed(kind, tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    url = file.as_uri()
    if there:
        file = file.rename(data / file.name)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    archive = Archive("https://page", url, digest, source.archive.inner)
    monkeypatch.setattr(type(source), "archive", archive)
    source.fetch(data)
    assert prepared(source.name, data).classes
    assert {each.name for each in data.iterdir()} == {source.folder, "prepared", *([file.name] if there else [])}
    file.unlink()
    source.fetch(data)


def test_a_failed_download_is_explained_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = packed("tar", tmp_path)
    data = tmp_path / "data"
    page = mvtec_ad.MVTecAD.archive.page
    told = page, file.name, data / "mvtec_anomaly_detection"
    for url, digest, problem in (
        (file.as_uri(), "0" * 64, "not the published"),
        ((tmp_path / "absent" / file.name).as_uri(), "0" * 64, "No such file"),
    ):
        monkeypatch.setattr(MVTecAD, "archive", Archive(page, url, digest))
        refused(lambda: MVTecAD().fetch(data), *told, problem)
        assert list(data.iterdir()) == []


def test_what_has_no_plain_download_names_its_page(tmp_path: Path) -> None:
    for name in ("mpdd", "dagm", "magnetic_tile"):
        source = REGISTRY.build(parse_spec(name))
        refused(lambda source=source: source.fetch(tmp_path), name, "by hand", "https://")  # type: ignore[misc]

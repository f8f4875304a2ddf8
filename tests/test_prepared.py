"""Prepared images of several sizes and their masks: what jobs see of them, and what is kept on disk."""

from __future__ import annotations

import gc
import shutil
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from bench.dataset import Dataset, LabelledImages
from bench.datasets.digits import Digits
from bench.errors import BenchError
from bench.mapped import MappedImages, packed, unpacked
from bench.prepared import compare, open_prepared, prepare, verify

SHAPES = [(9, 7, 1), (12, 20, 3), (5, 5, 1), (16, 8, 3), (8, 8, 1)]


def drawn() -> tuple[list[np.ndarray], list[np.ndarray | None]]:
    """Images of several sizes; the second and the fourth have masks."""
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, shape, dtype=np.uint8) for shape in SHAPES]
    masks = [generator.random(shape[:2]) < 0.3 if place in (1, 3) else None for place, shape in enumerate(SHAPES)]
    return images, masks


@dataclass
class Parts(Dataset):
    """Two parts, one of which is damaged."""

    size: int = 8
    images: object = None
    masks: object = None

    def source_files(self, root: Path) -> list[Path]:
        return []

    def read(self, root: Path) -> LabelledImages:
        images, masks = drawn()
        return LabelledImages(
            images=images if self.images is None else self.images,  # type: ignore[arg-type]
            labels=np.array([0, 1, 0, 1, 0]),
            classes=("good", "bad"),
            masks=masks if self.masks is None else self.masks,  # type: ignore[arg-type]
        )

    def fetch(self, root: Path) -> None:
        raise AssertionError


def as_pillow_resizes(image: np.ndarray, size: int) -> np.ndarray:
    coloured = np.broadcast_to(image, (*image.shape[:2], 3))
    return np.asarray(Image.fromarray(coloured).resize((size, size), Image.Resampling.BILINEAR))


def test_images_of_several_sizes_come_at_the_size_of_the_spec(tmp_path: Path) -> None:
    parts = prepare(Parts(), "parts", "parts", tmp_path)
    wanted = np.stack([as_pillow_resizes(image, 8) for image in drawn()[0]])
    assert parts.images.shape == wanted.shape == (5, 8, 8, 3)
    assert parts.images.dtype == np.uint8
    assert len(parts.images) == 5
    for index in (np.array([3, 0, 3]), slice(1, 4), np.array([True, False, True, True, False]), 2, np.int64(-1)):
        np.testing.assert_array_equal(parts.images[index], wanted[index])
    with pytest.raises(IndexError):
        parts.images[5]


def test_images_that_are_all_grey_have_one_channel(tmp_path: Path) -> None:
    grey = [image[..., :1] for image in drawn()[0]]
    parts = prepare(Parts(images=grey), "parts", "parts", tmp_path)
    assert parts.images.shape == (5, 8, 8, 1)
    np.testing.assert_array_equal(parts.images[1][..., 0], as_pillow_resizes(grey[1], 8)[..., 0])


def test_every_image_is_kept_at_its_own_size(tmp_path: Path) -> None:
    parts = prepare(Parts(), "parts", "parts", tmp_path)
    assert isinstance(parts.images, MappedImages)
    for place, image in enumerate(drawn()[0]):
        np.testing.assert_array_equal(parts.images.own(place), image)


def test_masks_have_their_images_sizes_and_normal_images_empty_ones(tmp_path: Path) -> None:
    parts = prepare(Parts(), "parts", "parts", tmp_path)
    assert parts.masks is not None
    assert len(parts.masks) == 5
    for place, (shape, mask) in enumerate(zip(SHAPES, drawn()[1], strict=True)):
        assert parts.masks[place].dtype == np.bool_
        np.testing.assert_array_equal(parts.masks[place], np.zeros(shape[:2], bool) if mask is None else mask)
    kept = (parts.folder / "masks.bin").stat().st_size
    assert kept == -(-12 * 20 // 8) - (-16 * 8 // 8), "a bit a pixel, nothing for normal images"


@settings(deadline=None)
@given(st.tuples(st.integers(1, 20), st.integers(1, 20)).flatmap(lambda shape: arrays(bool, shape)))
def test_packed_masks_come_back(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(unpacked(packed(mask), *mask.shape), mask)


def test_images_of_one_size_stay_an_array_and_may_have_masks(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 3), dtype=np.uint8)
    mask = np.eye(6, 4, dtype=bool)
    parts = prepare(Parts(images=images, masks=[None, mask, None, None, None]), "parts", "parts(size=3)", tmp_path)
    assert isinstance(parts.images, np.memmap)
    assert parts.size is None
    np.testing.assert_array_equal(parts.images, images)
    assert parts.masks is not None
    np.testing.assert_array_equal(parts.masks[1], mask)
    assert not parts.masks[0].any()


def test_masks_without_an_anomalous_pixel_take_no_room(tmp_path: Path) -> None:
    parts = prepare(Parts(masks=[None] * 5), "parts", "parts", tmp_path)
    assert parts.masks is not None
    assert [parts.masks[place].shape for place in range(5)] == [shape[:2] for shape in SHAPES]
    assert not any(parts.masks[place].any() for place in range(5))


def test_one_set_of_arrays_serves_every_size(tmp_path: Path) -> None:
    small = prepare(Parts(size=4), "parts", "parts(size=4)", tmp_path)
    large = prepare(Parts(), "parts", "parts", tmp_path)
    assert small.folder == large.folder
    assert small.checksum == large.checksum
    assert len(list((tmp_path / "prepared").iterdir())) == 1
    assert (small.spec, small.images.shape[1]) == ("parts(size=4)", 4)
    assert (large.spec, large.images.shape[1]) == ("parts", 8)
    assert open_prepared(small.folder, small.size).images.shape == small.images.shape


def test_other_masks_have_another_checksum(tmp_path: Path) -> None:
    with_masks = prepare(Parts(), "parts", "parts", tmp_path / "one").checksum
    other = prepare(Parts(masks=[None] * 5), "parts", "parts", tmp_path / "other").checksum
    assert with_masks != other


def test_images_are_read_one_by_one(tmp_path: Path) -> None:
    class OneByOne:
        """Gives an image only when the one before the last is no more."""

        def __init__(self) -> None:
            self.given: list[weakref.ref[np.ndarray]] = []

        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> np.ndarray:
            gc.collect()
            assert sum(image() is not None for image in self.given) <= 1
            image = drawn()[0][index].copy()
            self.given.append(weakref.ref(image))
            return image

    images = OneByOne()
    prepare(Parts(images=images), "parts", "parts", tmp_path)
    assert len(images.given) == 5, "each is read once"


def test_what_the_files_hold_is_compared_with_what_was_prepared(tmp_path: Path) -> None:
    parts = prepare(Parts(), "parts", "parts", tmp_path)
    verify(parts)
    compare(parts, Parts().read(tmp_path))
    images, masks = drawn()
    images[2][0, 0, 0] ^= 1
    with pytest.raises(BenchError, match="not what the original files hold"):
        compare(parts, Parts(images=images).read(tmp_path))
    with pytest.raises(BenchError, match="not what the original files hold"):
        compare(parts, Parts(masks=[*masks[:3], None, None]).read(tmp_path))
    with pytest.raises(BenchError, match="not what the original files hold"):
        compare(parts, Parts(masks=[np.ones((9, 7), bool), *masks[1:]]).read(tmp_path))


@pytest.mark.parametrize("file", ["images.bin", "shapes.npy", "masks.bin", "has_mask.npy"])
def test_damage_to_images_and_masks_is_noticed(file: str, tmp_path: Path) -> None:
    parts = prepare(Parts(), "parts", "parts", tmp_path)
    path = parts.folder / file
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BenchError, match="altered"):
        verify(parts)
    path.write_bytes(whole[:-1])
    with pytest.raises(BenchError, match=f"not {len(whole)}"):
        prepare(Parts(), "parts", "parts", tmp_path)
    shutil.rmtree(parts.folder)
    verify(prepare(Parts(), "parts", "parts", tmp_path))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"images": [np.zeros((4, 4), np.uint8)] * 5}, "image 0 must be uint8"),
        ({"images": [np.zeros((4, 4, 2), np.uint8)] * 5}, "image 0 must be uint8"),
        ({"masks": [None, np.zeros((7, 9), bool), None, None, None]}, r"mask 1 must be bool \(12, 20\)"),
        ({"masks": [np.zeros((9, 7), np.uint8), None, None, None, None]}, "mask 0 must be bool"),
        ({"masks": [None]}, "an entry for each of 5 images, not 1"),
    ],
)
def test_what_is_no_image_or_no_mask_is_refused(change: dict[str, object], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=problem):
        prepare(Parts(**change), "parts", "parts", tmp_path)  # type: ignore[arg-type]
    assert list(tmp_path.glob("prepared/*")) == []


def test_images_of_several_sizes_need_one_to_come_at(tmp_path: Path) -> None:
    folder = prepare(Parts(), "parts", "parts", tmp_path).folder
    with pytest.raises(TypeError, match="several sizes, and no parameter size"):
        open_prepared(folder)


def test_what_has_one_size_keeps_its_place_and_its_checksum(tmp_path: Path) -> None:
    """Where this fails on purpose, FORMAT needs another number, and every record of such data has another key."""
    digits = prepare(Digits(), "digits", "digits", tmp_path)
    assert digits.folder.name == "digits-3fa01d5e75e4"
    assert digits.checksum.startswith("f2fbbb762fa2")
    assert (digits.size, digits.masks) == (None, None)
    assert sorted(file.name for file in digits.folder.iterdir()) == ["images.npy", "labels.npy", "meta.json"]

"""The cache of arrays that every worker maps: a dataset's files, converted once.

``<data folder>/prepared/<name>-<stamp>/`` holds meta.json, labels.npy, is_test.npy and

- images.npy, where the images have one size;
- else images.bin with the pixels of each at its own size, and shapes.npy: one set of arrays for every ``size``;
- where there are masks, masks.bin with a bit a pixel and has_mask.npy, which images they are of.

Writing goes through the images one by one, so that it takes the memory of a few.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.dataset import Dataset, Each, LabelledImages, PreparedDataset, require_uint8
from bench.errors import BenchError, DataMissing
from bench.files import sha256
from bench.mapped import MappedImages, MappedMasks, packed
from bench.specs import Spec, parse_spec

FORMAT = 1
"""Version of the prepared arrays; another number prepares anew."""

ANY_SIZE = "at any size"
"""Beside a spec without its ``size``, in the stamp of images that are kept at their own sizes."""


def prepare(source: Dataset, name: str, spec: str, root: Path) -> PreparedDataset:
    """The dataset's arrays, converted from its files on first use, mapped from disk afterwards.

    Where the original files changed since (another size or time), they are converted again. Where they are gone but
    were converted before, the arrays serve. Raises DataMissing, or BenchError when the folder cannot be written.
    """
    folder = _prepared(source, name, spec, root)
    return dataclasses.replace(open_prepared(folder, getattr(source, "size", None)), spec=spec)


def open_prepared(folder: Path, size: int | None = None) -> PreparedDataset:
    """Map the prepared arrays in ``folder``; images of several sizes come at ``size``, which others ignore.

    Raises BenchError when an array is absent or has another size than recorded.
    """
    meta = _read_meta(folder / "meta.json")
    for file, facts in meta["files"].items():
        found = (folder / file).stat().st_size if (folder / file).is_file() else None
        if found != facts["bytes"]:
            told = "is not there" if found is None else f"has {found} bytes, not {facts['bytes']}"
            raise BenchError(f"prepared array {folder / file} {told}; {_again(folder)}")

    def mapped(file: str) -> NDArray[Any] | None:
        return np.load(folder / file, mmap_mode="r") if file in meta["files"] else None

    def raw(file: str) -> NDArray[np.uint8]:
        if not meta["files"][file]["bytes"]:  # which cannot be mapped
            return np.empty(0, np.uint8)
        return np.memmap(folder / file, np.uint8, "r")

    array, shapes, labels, has_mask = map(mapped, ("images.npy", "shapes.npy", "labels.npy", "has_mask.npy"))
    images: NDArray[np.uint8] | MappedImages | None = array
    if shapes is not None:
        if size is None:
            raise TypeError(f"{meta['name']} has images of several sizes, and no parameter size: int to bring them to")
        images = MappedImages(raw("images.bin"), shapes, size)
    if images is None or labels is None:
        raise BenchError(f"{folder / 'meta.json'} names no images or labels; {_again(folder)}")
    sizes = np.tile(images.shape[1:3], (len(labels), 1)) if shapes is None else shapes[:, :2]
    return PreparedDataset(
        name=meta["name"],
        spec=meta["spec"],
        checksum=meta["checksum"],
        classes=tuple(meta["classes"]),
        superclasses=tuple(meta["superclasses"]) if meta["superclasses"] else None,
        folder=folder,
        images=images,
        labels=labels,
        is_test=mapped("is_test.npy"),
        masks=None if has_mask is None else MappedMasks(raw("masks.bin"), sizes, has_mask),
        size=None if shapes is None else size,
    )


def verify(prepared: PreparedDataset) -> None:
    """Read every prepared array and compare it with its recorded checksum. Raises BenchError, naming the file."""
    for file, facts in _read_meta(prepared.folder / "meta.json")["files"].items():
        if sha256(prepared.folder / file) != facts["sha256"]:
            raise BenchError(
                f"prepared array {prepared.folder / file} was altered: its sha256 is not the recorded "
                f"{facts['sha256'][:16]}…; {_again(prepared.folder)}"
            )


def compare(prepared: PreparedDataset, content: LabelledImages) -> None:
    """Hold the prepared arrays against what the original files hold. Raises BenchError where they differ."""
    ours = prepared.images
    if isinstance(ours, MappedImages):
        same = len(ours) == len(content.images) and all(
            np.array_equal(ours.own(i), content.images[i]) for i in range(len(ours))
        )
    else:
        same = isinstance(content.images, np.ndarray) and np.array_equal(ours, content.images)
    if not (same and np.array_equal(prepared.labels, content.labels) and _same_masks(prepared.masks, content.masks)):
        raise BenchError(
            f"the prepared arrays in {prepared.folder} are not what the original files hold; remove them and the next "
            f"use prepares them again:  rm -r {prepared.folder}"
        )


def _same_masks(ours: Each[NDArray[np.bool_]] | None, theirs: Each[NDArray[np.bool_] | None] | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs

    def same(i: int) -> bool:
        mask = theirs[i]
        return not ours[i].any() if mask is None else np.array_equal(ours[i], mask)

    return all(map(same, range(len(ours))))


def _prepared(source: Dataset, name: str, spec: str, root: Path) -> Path:
    """The folder with the dataset's arrays, written where there is none."""
    cache, any_size = root / "prepared", _without_size(spec)
    try:
        files = source.source_files(root)
    except DataMissing:
        prepared = sorted(cache.glob(f"{name}-*/meta.json"), key=lambda p: p.stat().st_mtime, reverse=True)
        for meta in prepared:
            facts = _read_meta(meta)
            kept = any_size if "shapes.npy" in facts["files"] else spec
            if facts["spec"] == kept and facts.get("elsewhere", "") in ("", source.elsewhere(root)):
                return meta.parent
        raise
    one, several = (cache / f"{name}-{_stamp(text, root, files)}" for text in (spec, f"{any_size} {ANY_SIZE}"))
    for folder in (one, several):
        if (folder / "meta.json").is_file():
            return folder
    content = source.read(root)
    kept, folder = (spec, one) if isinstance(content.images, np.ndarray) else (any_size, several)
    _write(content, name, kept, source.elsewhere(root), folder)
    return folder


def _without_size(spec: str) -> str:
    asked = parse_spec(spec)
    return str(Spec(asked.name, {key: value for key, value in asked.parameters.items() if key != "size"}))


def _again(folder: Path) -> str:
    return f"remove the folder and the next use prepares it again:  rm -r {folder}"


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads(path.read_text())
        if not {"name", "spec", "checksum", "classes", "superclasses", "files"} <= meta.keys():
            raise ValueError("keys are missing")
    except (OSError, ValueError) as error:
        raise BenchError(f"{path} cannot be read ({error}); {_again(path.parent)}") from error
    return meta


def _stamp(spec: str, root: Path, files: Sequence[Path]) -> str:
    facts = [(os.path.relpath(f, root), (s := f.stat()).st_size, s.st_mtime_ns) for f in files]
    return hashlib.sha256(json.dumps([FORMAT, spec, facts]).encode()).hexdigest()[:12]


def _write(content: LabelledImages, name: str, spec: str, elsewhere: str, folder: Path) -> None:
    """Write the arrays under a temporary name, then rename the whole folder: two runs may prepare at once."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        temporary.mkdir(parents=True)
        files = _write_arrays(content, temporary)
        classes = list(content.classes)
        superclasses = list(content.superclasses) if content.superclasses is not None else None
        identity = [classes, superclasses, {file: facts["sha256"] for file, facts in files.items()}]
        meta = {
            "name": name,
            "spec": spec,
            "checksum": hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest(),
            "classes": classes,
            "superclasses": superclasses,
            "files": files,
            **({"elsewhere": elsewhere} if elsewhere else {}),
        }
        (temporary / "meta.json").write_text(json.dumps(meta, indent=1))
        with contextlib.suppress(OSError):  # another process was first: its folder has the same content
            temporary.rename(folder)
        if not (folder / "meta.json").is_file():
            raise OSError(f"{temporary} could not be renamed to {folder}")
    except OSError as error:
        raise BenchError(
            f"cannot write the prepared arrays of {spec} below {folder.parent}: {error}\n"
            "name a data folder that can be written and has room, with --data or $BENCH_DATA"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_arrays(content: LabelledImages, folder: Path) -> dict[str, dict[str, Any]]:
    """Write the content to a folder; the size and the checksum of each file."""
    files = {}
    arrays: dict[str, NDArray[Any]] = {"labels.npy": content.labels.astype(np.int64)}
    if content.is_test is not None:
        arrays["is_test.npy"] = content.is_test
    if isinstance(content.images, np.ndarray):
        arrays["images.npy"] = content.images
        shapes = np.tile(content.images.shape[1:], (len(content.images), 1))
    else:
        shapes = np.empty((len(content.images), 3), np.int64)
        files["images.bin"] = _written(folder / "images.bin", _image_bytes(content.images, shapes))
        arrays["shapes.npy"] = shapes
    if content.masks is not None:
        arrays["has_mask.npy"] = has_mask = np.zeros(len(shapes), bool)
        files["masks.bin"] = _written(folder / "masks.bin", _mask_bytes(content.masks, shapes, has_mask))
    for file, array in arrays.items():
        with (folder / file).open("wb") as out:
            np.save(out, np.ascontiguousarray(array))
            out.flush()
            os.fsync(out.fileno())
        files[file] = {"bytes": (folder / file).stat().st_size, "sha256": sha256(folder / file)}
    return files


def _image_bytes(images: Each[NDArray[np.uint8]], shapes: NDArray[np.int64]) -> Iterator[bytes]:
    """The pixels of one image after the other, whose shape goes into ``shapes``."""
    for i in range(len(images)):
        image = images[i]
        require_uint8(image, f"image {i}", "height, width, 1 or 3")
        shapes[i] = image.shape
        yield image.tobytes()


def _mask_bytes(
    masks: Each[NDArray[np.bool_] | None], shapes: NDArray[np.int64], has_mask: NDArray[np.bool_]
) -> Iterator[bytes]:
    """The bits of one mask after the other; ``has_mask`` is set for those that there are."""
    for i, (height, width) in enumerate(shapes[:, :2]):
        mask = masks[i]
        if mask is None:
            continue
        if mask.dtype != np.bool_ or mask.shape != (height, width):
            raise ValueError(f"mask {i} must be bool {(int(height), int(width))}, not {mask.dtype} {mask.shape}")
        has_mask[i] = True
        yield packed(mask).tobytes()


def _written(file: Path, pieces: Iterable[bytes]) -> dict[str, Any]:
    """Write the pieces; the size and the checksum of the file, which need not be read again."""
    digest = hashlib.sha256()
    with file.open("wb") as out:
        for piece in pieces:
            out.write(piece)
            digest.update(piece)
        out.flush()
        os.fsync(out.fileno())
    return {"bytes": file.stat().st_size, "sha256": digest.hexdigest()}

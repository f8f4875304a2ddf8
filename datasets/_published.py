"""Datasets whose original files have published checksums and a download that torchvision knows."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, NamedTuple

from bench.dataset import Dataset, missing
from bench.errors import BenchError, DataMissing


class Published(NamedTuple):
    """What is known of an original file: its md5 and, where it is known, its size in bytes."""

    md5: str
    size: int | None = None

    def __str__(self) -> str:
        return f"md5 {self.md5}" if self.size is None else f"{self.size} bytes, md5 {self.md5}"


class PublishedFiles(Dataset):
    """A dataset of fixed files in a folder below the data folder, each checked against its published md5."""

    name: ClassVar[str]
    folder: ClassVar[str]
    files: ClassVar[Mapping[str, Published]]
    loader: ClassVar[str]
    """Name of the class in ``torchvision.datasets`` that reads and downloads these files."""

    def source_files(self, root: Path) -> list[Path]:
        located = [self.locate(root, name) for name in self.files]
        if absent := [path.relative_to(root) for path in located if not path.is_file()]:
            raise missing(self.name, root, absent)
        return sorted(located)

    def locate(self, root: Path, file: str) -> Path:
        """Where a file lies or should lie."""
        return root / self.folder / file

    def content(self, root: Path, file: str) -> bytes:
        """The unpacked content of a file. Raises DataMissing where it is not the published one."""
        path = self.locate(root, file)
        try:
            data = path.read_bytes()
            data = gzip.decompress(data) if path.suffix == ".gz" else data
        except (OSError, EOFError, zlib.error) as error:
            raise self._altered(root, path, f"cannot be read ({error})", file) from error
        found = Published(hashlib.md5(data, usedforsecurity=False).hexdigest(), len(data))
        wanted = self.files[file]
        if found.md5 != wanted.md5:
            raise self._altered(root, path, f"has {found}", file)
        return data

    def check(self, root: Path) -> None:
        """Read every file. Raises DataMissing, naming the file that is absent, truncated or altered."""
        PublishedFiles.source_files(self, root)  # not a subclass's, which may accept a substitute
        for file in self.files:
            self.content(root, file)

    def torchvision_class(self) -> Any:
        from torchvision import datasets

        return getattr(datasets, self.loader)

    def fetch(self, root: Path) -> None:
        """Download with torchvision to a temporary folder, check, then move the files into place."""
        try:
            self.check(root)
            return
        except DataMissing:
            pass
        try:
            root.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=".fetch-", dir=root) as scratch:
                self.torchvision_class()(scratch, download=True)
                self.check(Path(scratch))
                (root / self.folder).mkdir(parents=True, exist_ok=True)
                for file in self.files:
                    (Path(scratch) / self.folder / file).replace(root / self.folder / file)
        except (OSError, RuntimeError, HTTPException, EOFError, zlib.error, DataMissing) as error:
            listed = "\n".join(f"  {root / self.folder / file}  ({facts})" for file, facts in self.files.items())
            raise BenchError(
                f"dataset {self.name} could not be downloaded: {str(error).strip()}\n"
                f"try again, or put these files there yourself:\n{listed}\n"
                "or name a folder that holds them with --data or $BENCH_DATA"
            ) from error

    def _altered(self, root: Path, path: Path, found: str, file: str) -> DataMissing:
        return DataMissing(
            f"dataset {self.name}: {path} is not the published file: it {found}; expected {self.files[file]}\n"
            f"replace it by the published one, which this does:  bench data fetch {self.name} --data {root}"
        )

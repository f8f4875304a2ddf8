"""Datasets that their publishers ship as one archive: downloaded, held against its checksum, unpacked."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from http.client import HTTPException
from lzma import LZMAError
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import urlopen

from bench.errors import BenchError
from bench.files import sha256


@dataclass(frozen=True)
class Archive:
    """Where an archive is to be had: the publisher's page and, where there is a plain download, its address.

    ``sha256`` is that of the archive. ``inner`` is the folder in it that holds the dataset; empty for its top.
    """

    page: str
    url: str = ""
    sha256: str = ""
    inner: str = ""

    @property
    def file(self) -> str:
        """The archive's name."""
        return Path(urlsplit(self.url).path).name

    def where(self, name: str, root: Path, folder: Path) -> str:
        """How to get the dataset and where it goes."""
        by_hand = f"get it from {self.page} and unpack it so that its folders lie in {folder}"
        if not self.url:
            return by_hand
        return f"download and unpack it with:  bench data fetch {name} --data {root}\nor {by_hand}"

    def fetch(self, name: str, root: Path, folder: Path) -> None:
        """Unpack the archive to ``folder``: the one that lies in ``root``, else downloaded.

        Raises BenchError where there is no plain download, it fails, or the archive is not the published one.
        """
        if not self.url:
            raise BenchError(f"dataset {name} has to be downloaded by hand: {self.where(name, root, folder)}")
        try:
            root.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=".fetch-", dir=root) as scratch:
                packed = root / self.file
                if not packed.is_file():
                    packed = Path(scratch) / self.file
                    with urlopen(self.url) as answer, packed.open("wb") as out:
                        shutil.copyfileobj(answer, out, 1 << 20)
                if (found := sha256(packed)) != self.sha256:
                    raise OSError(f"{packed.name} has sha256 {found}, not the published {self.sha256}")
                unpacked = Path(scratch) / "unpacked"
                _unpack(packed, unpacked)
                (unpacked / self.inner).rename(folder)
        except (OSError, HTTPException, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError) as error:
            raise BenchError(
                f"dataset {name} could not be fetched: {str(error).strip()}\n"
                f"try again, or put {self.file} in {root} and repeat the command, "
                f"or get it from {self.page} and unpack it so that its folders lie in {folder}"
            ) from error


def _unpack(packed: Path, to: Path) -> None:
    if packed.suffix == ".zip":
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(to)
    else:
        with tarfile.open(packed) as tar:
            tar.extractall(to, filter="data")

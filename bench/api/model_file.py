"""A model in one file: a zip archive of ``model.json``, which says what it is, and below ``state/`` what its method
saved."""

from __future__ import annotations

import dataclasses
import io
import json
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.errors import BenchError
from bench.files import write_whole

FORMAT = 1
"""Version of the file."""
CARD, STATE = "model.json", "state"


@dataclass(frozen=True)
class Card:
    """How a model was fitted, and on what."""

    spec: str
    """With everything that differs from the method's defaults, the profile's settings included."""
    method_version: str
    fingerprint: str
    """Hash of the method's code."""
    profile: str
    seed: int
    height: int
    width: int
    channels: Literal[1, 3]
    training_images: int
    bench: str
    python: str
    libraries: Mapping[str, str]

    def describe(self) -> str:
        """The model in a line."""
        colour = "grey" if self.channels == 1 else "RGB"
        return (
            f"{self.spec} fitted on {self.training_images} images of {self.height} × {self.width}, {colour}; "
            f"profile {self.profile}, seed {self.seed}"
        )


def require_writable(path: Path) -> None:
    """Raise BenchError where no model can be written to a path, before anything is computed for it."""
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _refusal(path, error) from error


def write_model(path: Path, card: Card, folder: Path) -> None:
    """Write a model with what its method saved in ``folder/state``, whole or not at all.

    Raises BenchError where the disk refuses.
    """
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        facts = {"format": FORMAT, **dataclasses.asdict(card)}
        archive.writestr(CARD, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
        for file in sorted(each for each in (folder / STATE).rglob("*") if each.is_file()):
            archive.write(file, file.relative_to(folder))
    try:
        write_whole(path, written.getvalue())
    except OSError as error:
        raise _refusal(path, error) from error


def read_model(path: Path, folder: Path) -> Card:
    """The card of a model in a file; what its method saved comes into ``folder/state``.

    Raises BenchError for a file that is not there, damaged, or no model.
    """
    from pydantic import TypeAdapter

    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        facts = json.loads((folder / CARD).read_bytes())
        if (form := facts.pop("format")) != FORMAT:
            raise BenchError(f"{path} is a model of format {form!r}, which this version does not know; upgrade bench")
        card = TypeAdapter(Card).validate_python(facts)
        (folder / STATE).mkdir(exist_ok=True)
    except FileNotFoundError as error:
        if not path.exists():
            raise BenchError(f"there is no model {path}; bench fit SPEC FOLDER --save {path} makes one") from error
        raise _damaged(path, error) from error
    except _UNREADABLE as error:
        raise _damaged(path, error) from error
    return card


_UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, LookupError, TypeError, ValueError, RuntimeError)
"""What reading a damaged archive, or one that is no model, may raise."""


def _damaged(path: Path, error: Exception) -> BenchError:
    reason = str(error).partition("\n")[0]
    return BenchError(f"{path} is no model, or damaged ({reason}); copy it again, or make it anew with bench fit")


def _refusal(path: Path, error: OSError) -> BenchError:
    return BenchError(f"cannot write the model {path}: {error.strerror or error}; name another file")

"""The files that bench.toml is made of, and how they lie over one another. Light: listings start without the models."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from bench.errors import BenchError


def layer_files(file: Path | None = None) -> list[Path]:
    """The project's own bench.toml, the working folder's, and ``file``, in the order in which they are laid."""
    default = _default_file()
    here = Path.cwd() / "bench.toml"
    layers = [default, here] if here.is_file() and not here.samefile(default) else [default]
    if file is None:
        return layers
    if not file.is_file():
        raise BenchError(f"config file {file} does not exist")
    return [*layers, file]


def read_toml(file: Path) -> tuple[str, dict[str, Any]]:
    """A file's text and what it says. Raises BenchError, naming the file, where it is no TOML."""
    try:
        text = file.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BenchError(f"{file}: {error}") from error


def merged(layers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Tables laid over one another key by key; anything else replaces what lies below."""
    whole: dict[str, Any] = {}
    for layer in layers:
        _lay(layer, whole)
    return whole


def absolute(file: Path, folders: Sequence[str]) -> list[str]:
    """Folders that a file names, which are relative to it."""
    return [str((file.parent / Path(folder).expanduser()).resolve()) for folder in folders]


def plugin_folders(kind: str, file: Path | None = None) -> list[Path]:
    """The extra folders for a kind of plugin (``methods``, ``datasets``) that the layers name."""
    folders: list[str] = []
    for layer in layer_files(file):
        named = read_toml(layer)[1].get("plugins", {}).get(kind)
        folders = absolute(layer, named) if named is not None else folders
    return [Path(folder) for folder in folders]


def _lay(above: dict[str, Any], below: dict[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _lay(value, below[key])
        else:
            below[key] = value


def _default_file() -> Path:
    packaged = Path(str(resources.files("bench").joinpath("bench.toml")))
    return packaged if packaged.is_file() else Path(__file__).parent.parent / "bench.toml"

"""Files of pretrained weights: named by their content, found, checked and loaded. A job downloads nothing.

A method declares ``weights: Weights = ""`` and calls ``backbone``. A user names a file, ``weights='vgg19.pth'``, with a
state dict as torch or safetensors write it. In specs, keys and records its name stands with the beginning of its
sha256, ``vgg19.pth#…``, so that a record tells which weights it used and not where somebody keeps them. Where none is
named, the weights are torchvision's own, from torch's cache.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bench.errors import BenchError
from bench.files import sha256

if TYPE_CHECKING:
    from torch import Tensor, nn

FILES = "BENCH_WEIGHTS"
"""Environment variable with files of weights, which a command hands to its workers."""
DIGITS = 16
"""Of the checksum, in a spec."""
USED = "weights pretrained on other images"
"""What a method uses that has them, beyond normal training images."""


@dataclass(frozen=True)
class _NamedByContent:
    """Marks a hyperparameter that names a file of weights."""

    def canonical(self, value: str) -> str:
        """The name that stands in a spec. Raises BenchError for a file that is not there."""
        if not value or "#" in value:
            return value
        path = Path(value).expanduser().resolve()
        if not path.is_file():
            raise BenchError(f"weights={value!r}: there is no such file; name a state dict of torch or safetensors")
        os.environ[FILES] = os.pathsep.join(dict.fromkeys([*_named(), str(path)]))
        return f"{path.name}#{_checksum(path)[:DIGITS]}"


Weights = Annotated[str, _NamedByContent()]
"""Type of a hyperparameter that names a file of weights; empty: torchvision's own."""


def backbone(name: str, weights: str, part: str = "") -> nn.Module:
    """A network of torchvision's with pretrained weights, or a part of it, for evaluation: no gradient reaches them.

    Raises BenchError where the file is not on the machine, is another one, or is of another network.
    """
    import torch
    import torchvision

    with torch.device("meta"):  # nothing is drawn that the file holds anyway
        network: nn.Module = torchvision.models.get_model(name, weights=None).get_submodule(part)
    path = found(weights) if weights else _cached(name)
    start = f"{part}." if part else ""
    state = {key.removeprefix(start): value for key, value in _state(path).items() if key.startswith(start)}
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise BenchError(f"weights {path} are not those of {name}: {str(error).splitlines()[-1].strip()}") from error
    return network.eval().requires_grad_(False)


def found(weights: str) -> Path:
    """The file that a canonical name means. Raises BenchError where it is not on the machine."""
    name, _, checksum = weights.partition("#")
    for path in _candidates(name):
        if path.is_file() and _checksum(path).startswith(checksum):
            return path
    raise BenchError(
        f"weights {name} with the checksum {checksum}… are not on this machine; "
        f"set {FILES} to the file, or name it anew: weights='/where/it/is/{name}'"
    )


def _candidates(name: str) -> Iterator[Path]:
    yield from (path for path in map(Path, _named()) if path.name == name)
    yield _cache() / name


def _cached(name: str) -> Path:
    """The file of torchvision's own first weights, whose name ends with the beginning of its checksum."""
    import torchvision

    address = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].url
    path = _cache() / address.rpartition("/")[2]
    checksum = path.stem.rpartition("-")[2]
    if not path.is_file():
        raise BenchError(
            f"{name} needs weights that are not on this machine: {path.name}, sha256 {checksum}…, from {address}\n"
            "a job downloads nothing; fetch them once, where there is a network, with\n"
            f"python -c \"from torchvision.models import get_model; get_model('{name}', weights='IMAGENET1K_V1')\"\n"
            "or name a file that you have: weights='FILE'"
        )
    if not _checksum(path).startswith(checksum):
        raise BenchError(f"weights {path} are damaged: their sha256 does not begin with {checksum}; remove the file")
    return path


def _cache() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def _state(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a file, none of whose code is run."""
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise BenchError(f"weights {path} cannot be read: {type(error).__name__}: {error}") from error
    if not (isinstance(state, Mapping) and all(isinstance(each, torch.Tensor) for each in state.values())):
        raise BenchError(f"weights {path} hold no state dict; save one with torch.save(network.state_dict(), …)")
    return state


def _named() -> list[str]:
    """The files that were named to this process, or to the one that started it."""
    return [file for file in os.environ.get(FILES, "").split(os.pathsep) if file]


def _checksum(path: Path) -> str:
    return _checksum_of(path, path.stat().st_mtime_ns)


@functools.cache
def _checksum_of(path: Path, modified: int) -> str:
    return sha256(path)

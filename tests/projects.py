"""A user's working folder: a bench.toml, plugins of their own, and the commands' view of both."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from bench.errors import BenchError
from bench.workspace import Workspace, open_workspace

METHOD = '''
"""Distance to the mean training image."""

from typing import Literal

import numpy as np

from bench.method import Method, method


@method(version="7")
class Mean(Method):
    power: float = 2.0
    steps: int = 3
    norm: Literal["l1", "l2"] = "l2"
    centred: bool = True
    sizes: tuple[int, ...] = (8, 16)

    def fit(self, images, context):
        self.mean = images.mean(axis=0)
        return self

    def score(self, images):
        return (np.abs(images - self.mean) ** self.power).mean(axis=(1, 2, 3))
'''
"""A plugin with a parameter of each kind."""

DATASET = '''
"""Four classes in two families; dog has no training image."""

import numpy as np

from bench.dataset import Dataset, LabelledImages, dataset


@dataset()
class Animals(Dataset):
    def source_files(self, root):
        return []

    def read(self, root):
        labels = np.arange(48) % 4
        images = np.random.default_rng(0).integers(0, 256, (48, 8, 8, 1), dtype=np.uint8)
        return LabelledImages(
            images=images,
            labels=labels,
            classes=("ape", "bee", "cat", "dog"),
            is_test=(np.arange(48) >= 32) | (labels == 3),
            superclasses=("x", "x", "y", "y"),
        )

    def fetch(self, root):
        pass
'''

BROKEN = "def broken(:\n"

TOML = """
[plugins]
methods = ["my_methods"]
datasets = ["my_datasets"]
"""


@dataclass(frozen=True)
class Project:
    """A folder that is the working folder while a test runs."""

    root: Path

    def write(self, path: str, text: str) -> Path:
        """A file in the folder, its text dedented."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    def write_plugins(self, toml: str = "") -> None:
        """The method ``mean``, the dataset ``animals`` and a bench.toml that names their folders and says ``toml``."""
        self.write("my_methods/mean.py", METHOD)
        self.write("my_datasets/animals.py", DATASET)
        self.write("bench.toml", textwrap.dedent(toml) + TOML)

    def workspace(self) -> Workspace:
        """What a command sees that is started in the folder."""
        return open_workspace(data=self.root / "data", results=self.root / "results")


def invoked(command: Callable[..., None]) -> Callable[..., Any]:
    """A command of the command line, called with its words; what it ends with, its BenchError raised."""
    app = typer.Typer()
    app.command()(command)

    def run(*arguments: str) -> Any:
        ended = CliRunner().invoke(app, list(arguments))
        if isinstance(ended.exception, BenchError):
            raise ended.exception
        assert ended.exit_code == 0, ended.output
        return ended

    return run

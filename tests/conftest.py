"""What several test modules share."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch comes: tests run two at a time, as jobs do in slots

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium
from cli import METHODS, PLUGINS, Bench
from machines import Machine, new_machine
from projects import Project


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that BENCH_DATA names. Skips where it is unset, unless BENCH_REQUIRE_DATA=1 makes that a failure."""
    folder = os.environ.get("BENCH_DATA")
    if folder:
        return Path(folder)
    if os.environ.get("BENCH_REQUIRE_DATA") == "1":
        pytest.fail("BENCH_REQUIRE_DATA=1 asks for the real data, but BENCH_DATA names no folder")
    pytest.skip("BENCH_DATA names no folder with the real data")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty working folder; neither the checkout's files nor the user's BENCH_DATA are in sight."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    return Project(tmp_path)


@pytest.fixture(scope="session")
def digits_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds nothing but, after their first use, the prepared digits of scikit-learn."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def bench(tmp_path: Path, digits_data: Path) -> Iterator[Bench]:
    """The command line in an empty working folder, with the tests' own plugins; nothing that it starts survives."""
    command = Bench(tmp_path / "work", digits_data, [PLUGINS])
    yield command
    for process in command.processes():
        process.kill()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, digits_data: Path) -> Bench:
    """A run to which nothing happened: three methods on ten classes with two seeds. Look at it, leave it as it is."""
    command = Bench(tmp_path_factory.mktemp("undisturbed"), digits_data, [PLUGINS])
    ended = command("run", "--suite", "quickstart", "--methods", METHODS, "--seeds", "2")
    (command.folder / "stdout").write_text(ended.stdout)
    (command.folder / "stderr").write_text(ended.stderr)
    assert ended.returncode == 0, ended.stderr
    return command


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine of somebody else, with nothing installed of its own."""
    return new_machine(tmp_path)


@pytest.fixture
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    yield from chromium()


@pytest.fixture
def generator_states() -> Callable[[], list[Any]]:
    """What Python's, NumPy's and torch's global generators would go on with, each time it is called."""
    import random

    import numpy as np
    import torch

    def states() -> list[Any]:
        name, keys, *rest = np.random.get_state()  # noqa: NPY002
        return [random.getstate(), name, np.asarray(keys).tolist(), rest, torch.get_rng_state().tolist()]

    return states


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """As in a slot; two threads only get in each other's way on networks this small."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def drawn_vgg19(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with the convolutions of a VGG-19 whose weights are drawn, as a spec names it."""
    import torch
    from torch import nn
    from torchvision.models import vgg19

    with torch.device("meta"):
        empty = vgg19(weights=None).features
    features = empty.to_empty(device="cpu")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for layer in features.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
    file = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, file)
    return _as_a_spec_names_it(file, "perceptual_ae")


@pytest.fixture(scope="session")
def drawn_resnet18(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with drawn weights of a ResNet-18, as a spec names it."""
    import torch
    from torchvision.models import resnet18

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = resnet18(weights=None)
    file = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(network.state_dict(), file)
    return _as_a_spec_names_it(file, "padim")


def _as_a_spec_names_it(file: Path, method: str) -> str:
    """A file of weights by its content, wherever it lies."""
    from bench.registry import Registry
    from bench.specs import Spec

    named = Registry("method").resolve(Spec(method, {"weights": str(file)})).parameters["weights"]
    assert isinstance(named, str)
    assert str(file.parent) not in named
    return named

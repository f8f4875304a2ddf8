"""Reconstructions: those of the methods are learnt and in place, and the harness keeps a few of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from projects import Project

from bench.datasets.digits import Digits
from bench.errors import BenchError
from bench.execution.measurement import measure
from bench.execution.messages import Outcome, Task
from bench.images import resized
from bench.jobs import Request, expand
from bench.method import FitContext, Images, Method
from bench.methods._image_network import ImageNetwork
from bench.registry import Registry
from bench.specs import parse_spec
from bench.workspace import open_workspace

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = "width=8,latent=8,image_size=8,batch_size=16,lr=2e-3,epochs=5"
GAN = "width=8,latent=16,batch_size=16,lr=1e-3,epochs=8"
NETWORKS = {
    "autoencoder": f"autoencoder({SMALL})",
    "vae": f"vae({SMALL})",
    "shared_ae": f"shared_ae({SMALL},alpha=1)",
    "shared_ae, one EDE": f"shared_ae({SMALL},alpha=1,variant='one_ede')",
    "shared_ae, two EDEs": f"shared_ae({SMALL},alpha=1,variant='two_ede')",
    "ganomaly": f"ganomaly({GAN})",
    "skip_ganomaly": f"skip_ganomaly({GAN})",
}
METHOD = '''
"""Brightness, with a reconstruction of its own kind."""

import time

import numpy as np

from bench.method import Method, method


@method(version="1")
class Bright(Method):
    def fit(self, images, context):
        return self

    def score(self, images):
        return images.mean(axis=(1, 2, 3))

    def reconstruct(self, images):
        {how}
'''


def built(spec: str, **parameters: Any) -> Method:
    method: Method = Registry("method").build(parse_spec(spec))
    for name, value in parameters.items():
        setattr(method, name, value)
    return method


@pytest.fixture(scope="module")
def zeros(tmp_path_factory: pytest.TempPathFactory) -> tuple[Images, Images]:
    """Handwritten zeros: images to train on, and others."""
    digits = Digits().read(tmp_path_factory.mktemp("data"))
    zeros = digits.images[digits.labels == 0]
    return zeros[:142], zeros[142:]


def misfit(method: Method, images: Images) -> float:
    """How far reconstructions are from the images, as the method sees these."""
    made = method.reconstruct(images)
    assert made is not None
    assert made.dtype == np.uint8
    wanted = resized(images, made.shape[1])
    assert made.shape == wanted.shape
    return float(np.abs(made.astype(float) - wanted).mean())


# ---------------------------------------------------------------------------------------------------------------------
# The methods


@pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
def test_training_brings_reconstructions_nearer_to_their_images(spec: str, zeros: tuple[Images, Images]) -> None:
    train, test = zeros
    trained = built(spec).fit(train, FitContext(seed=0))
    untrained = built(spec, epochs=0).fit(train, FitContext(seed=0))
    before = trained.score(test)
    assert misfit(trained, test) < 0.9 * misfit(untrained, test)
    assert np.array_equal(trained.score(test), before)
    made = trained.reconstruct(test)
    assert made is not None
    assert len(np.unique(made, axis=0)) > 1, "they depend on the image"


def test_principal_components_reconstruct_better_than_the_mean_image(zeros: tuple[Images, Images]) -> None:
    train, test = zeros
    method = built("pca").fit(train, FitContext(seed=0))
    assert misfit(method, test) < 0.5 * np.abs(test - train.mean(axis=0)).mean()
    assert misfit(method, test) > misfit(built("pca(explained=0.99)").fit(train, FitContext(seed=0)), test)


@pytest.mark.parametrize("name", ["autoencoder", "ganomaly", "ganomaly(input_range='mnist')"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_that_changes_nothing_reconstructs_what_it_was_given(name: str, channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 13, 17, channels), dtype=np.uint8)
    method = built(name, epochs=0, width=4, latent=4).fit(images, FitContext(seed=0))
    assert isinstance(method, ImageNetwork)
    method.reconstruction = lambda x: x  # type: ignore[method-assign]
    made = method.reconstruct(images)
    assert np.array_equal(made, resized(images, 32))
    method.reconstruction = lambda x: torch.where(x > 0, 9.0, -9.0)  # type: ignore[method-assign]
    assert set(np.unique(method.reconstruct(images))) == {0, 255}, "what lies beyond does not wrap around"


def test_what_is_no_image_is_refused_and_what_has_no_reconstructions_says_none(zeros: tuple[Images, Images]) -> None:
    train, test = zeros
    with pytest.raises(BenchError, match="has to be fitted before it can reconstruct"):
        built("pca").reconstruct(test)
    method = built("pca").fit(train, FitContext(seed=0))
    with pytest.raises(BenchError, match=r"asked to reconstruct images of \(4, 4, 1\)"):
        method.reconstruct(test[:, ::2, ::2])
    assert built("mean_image").fit(train, FitContext(seed=0)).reconstruct(test) is None


# ---------------------------------------------------------------------------------------------------------------------
# What a job keeps


@pytest.fixture
def job_of(project: Project, digits_data: Path) -> Callable[[str], Outcome]:
    """The outcome of a job on digits, class 3, of a method that reconstructs by these lines."""

    def outcome(how: str) -> Outcome:
        project.write("my_methods/bright.py", METHOD.format(how=how))
        project.write("bench.toml", "[plugins]\nmethods = ['my_methods']\n")
        workspace = open_workspace(data=digits_data)
        (job,) = expand(Request(dataset="digits", methods="bright", classes="3", seeds="0,"), workspace)
        folder = workspace.dataset(parse_spec("digits")).folder
        return measure(Task(job, folder, workspace.config.plugins.methods), lambda epoch: None)

    return outcome


def test_a_job_keeps_the_reconstructions_of_four_normal_and_four_anomalous_images(
    job_of: Callable[[str], Outcome], tmp_path_factory: pytest.TempPathFactory
) -> None:
    outcome = job_of("return images // 2")
    assert outcome.status == "done", outcome.error
    assert outcome.arrays is not None
    arrays = outcome.arrays
    images = Digits().read(tmp_path_factory.mktemp("data")).images
    kept = arrays["reconstructed_indices"]
    assert np.array_equal(arrays["reconstructed"], images[kept] // 2)
    places = np.searchsorted(arrays["indices"], kept)
    assert np.array_equal(arrays["indices"][places], kept)
    assert arrays["labels"][places].tolist() == [0] * 4 + [1] * 4
    for kind, shown in ((0, kept[:4]), (1, kept[4:])):
        own = arrays["indices"][arrays["labels"] == kind]
        numbers = np.searchsorted(own, shown)
        assert (numbers[0], numbers[-1]) == (0, len(own) - 1)
        assert np.ptp(np.diff(numbers)) <= 1, "evenly spaced"


def test_a_job_whose_method_reconstructs_nothing_keeps_scores_alone(job_of: Callable[[str], Outcome]) -> None:
    outcome = job_of("return None")
    assert outcome.arrays is not None
    assert set(outcome.arrays) == {"scores", "labels", "indices"}


def test_reconstructing_is_on_no_clock(job_of: Callable[[str], Outcome]) -> None:
    outcome = job_of("time.sleep(1); return images")
    assert outcome.status == "done", outcome.error
    assert outcome.cost["fit_seconds"] + outcome.cost["score_seconds"] < 0.9


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raise LookupError('no decoder')", "no decoder"),
        ("return images / 255", "what reconstruct returned: images are a NumPy array of uint8, "),
        ("return images[..., 0]", r"what reconstruct returned: .*; got uint8 \(8, 8, 8\)"),
        ("return list(images)", "what reconstruct returned: .*; got list"),
        ("return images[1:]", "reconstruct returned 7 images for 8; return one for each"),
    ],
    ids=["raises", "floats", "no channels", "list", "too few"],
)
def test_a_reconstruction_that_fails_is_the_job_s_error(job_of: Callable[[str], Outcome], how: str, said: str) -> None:
    outcome = job_of(how)
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert re.match(said, outcome.error["message"])
    assert "reconstruct" in outcome.error["traceback"]

"""The adapters of pyod and anomalib: parameters and errors, seeds, what a score uses, and that models learn."""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from sklearn.datasets import load_digits

from bench.errors import BenchError, PluginUnavailable
from bench.method import FitContext, Images, Method
from bench.methods._adapter import constructor
from bench.methods.adapters.pyod import OTHER_TEST_IMAGES
from bench.metrics import auroc
from bench.registry import Registry
from bench.specs import parse_spec
from bench.testing.images import TEST, auroc_of, lit

pytestmark = pytest.mark.usefixtures("one_thread")

REGISTRY = Registry("method")
QUICK = ["COPOD", "ECOD", "GMM", "HBOS", "IForest", "KDE", "KNN", "LODA", "LOF", "MCD", "PCA"]
"""Detectors of pyod that are done in a moment."""
DEEP = ["pyod(model='VAE',epoch_num=5)", "pyod(model='DeepSVDD',epochs=5)", "pyod(model='AutoEncoder',epoch_num=5)"]
GANOMALY = "anomalib(model='Ganomaly',epochs=2,batch_size=16,n_features=8,latent_vec_size=8)"
PADIM = "anomalib(model='Padim',pre_trained=False,batch_size=16)"


def built(spec: str) -> Method:
    method: Method = REGISTRY.build(parse_spec(spec))
    return method


def fitted(spec: str, seed: int = 0, n: int = 48, channels: int = 1) -> Method:
    return built(spec).fit(lit(0, n, 1, channels), FitContext(seed=seed))


def resolved(spec: str) -> str:
    return str(REGISTRY.resolve(parse_spec(spec)))


# ---------------------------------------------------------------------------------------------------------------------
# Parameters


def test_parameters_are_those_of_the_constructor_and_defaults_drop_out_of_the_spec() -> None:
    spec = "pyod(model='KNN',n_neighbors=5,method='mean',contamination=0.1)"
    assert resolved(spec) == "pyod(method='mean',model='KNN')"
    assert resolved("pyod(model='AutoEncoder',hidden_neuron_list=[64,32])") == "pyod(model='AutoEncoder')"
    spec = "anomalib(model='Ganomaly',epochs=20,n_features=64,wcon=10)"
    assert resolved(spec) == "anomalib(model='Ganomaly',wcon=10)"
    assert resolved("anomalib(model='Padim',layers=['layer1'])") == "anomalib(layers=('layer1',),model='Padim')"


def test_a_default_that_no_spec_can_hold_is_unequal_to_every_value() -> None:
    spec = "anomalib(feature_scaling_method='FeatureScalingMethod.SCALE',model='Dfkde')"
    assert resolved(spec) == spec


def test_a_random_state_that_equals_pyod_s_default_stays_in_the_spec() -> None:
    """AutoEncoder's is 42; left out, the job's seed would stand in for it."""
    assert resolved("pyod(model='AutoEncoder',random_state=42)") == "pyod(model='AutoEncoder',random_state=42)"


def test_the_record_has_every_parameter_of_the_model() -> None:
    knn = built("pyod(model='KNN',n_neighbors=3)").hyperparameters()
    assert knn.items() >= {"model": "KNN", "n_neighbors": 3, "method": "largest", "metric_params": None}.items()
    ganomaly = built(GANOMALY).hyperparameters()
    assert ganomaly.items() >= {"epochs": 2, "image_size": 32, "n_features": 8, "wcon": 50}.items()
    assert built("anomalib(model='Dfkde')").hyperparameters()["feature_scaling_method"] == "FeatureScalingMethod.SCALE"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pyod", r"pyod needs model; write pyod\(model='KNN'\); known: ABOD, .*IForest"),
        ("anomalib", r"anomalib needs model; write anomalib\(model='Ganomaly'\); known: .*Padim"),
        ("pyod(model='IForrest')", r"no model of pyod called 'IForrest'; did you mean IForest\?"),
        ("pyod(model=5)", r"no model of pyod called '5'; known: ABOD"),
        ("anomalib(model='GANomaly')", r"no model of anomalib called 'GANomaly'; did you mean Ganomaly "),
        (
            "pyod(model='KNN',n_neighbours=5)",
            r"no parameter of pyod\(model='KNN'\) called 'n_neighbours'; did you mean n_neighbors\?",
        ),
        (
            "anomalib(model='Ganomaly',epoch=5)",
            r"no parameter of anomalib\(model='Ganomaly'\) called 'epoch'; did you mean epochs\?",
        ),
        ("anomalib(model='Ganomaly',epochs='5')", "anomalib: epochs='5' is not usable"),
        ("pyod(model='XGBOD')", "cannot be used on images of one class: it is trained with labels"),
        ("pyod(model='LSCP')", "it combines detectors that are given to it as objects"),
        ("pyod(model='DOMINANT')", "no model of pyod called 'DOMINANT'"),
        ("pyod(model='KNN',verbose=1)", "called 'verbose'"),
        ("anomalib(model='VlmAd')", "it asks a language model over the network"),
    ],
)
def test_what_cannot_be_asked_for_is_answered_with_what_can(spec: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        resolved(spec)


def test_a_detector_whose_package_is_absent_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "combo", None)
    with pytest.raises(PluginUnavailable, match="pyod's FeatureBagging needs combo; pip install combo"):
        resolved("pyod(model='FeatureBagging')")


def test_defaults_of_a_constructor_are_values_of_specs_or_unequal_to_all() -> None:
    class Colour(enum.StrEnum):
        RED = "red"

    class Model:
        def __init__(
            self, a: int, *others: int, b: int = -1, c: object = (1, (2,)), d: object = Colour.RED, **rest: int
        ) -> None: ...

    defaults = constructor(Model)
    assert list(defaults) == ["a", "b", "c", "d"]
    assert defaults["a"] is dataclasses.MISSING
    assert (defaults["b"], defaults["c"]) == (-1, (1, (2,)))
    assert defaults["d"] not in ("red", Colour.RED)
    assert defaults["d"].text == "red"


def test_what_a_score_uses_beyond_its_image_is_declared() -> None:
    assert built("pyod(model='ECOD')").used() == ("the other test images",)
    assert built("pyod(model='KNN')").used() == ()
    assert built("anomalib(model='Ganomaly')").used() == ()
    assert built("anomalib(model='Padim')").used() == ("weights pretrained on other images",)
    assert built(PADIM).used() == ()


# ---------------------------------------------------------------------------------------------------------------------
# pyod


@pytest.mark.parametrize("model", QUICK)
def test_scores_are_of_the_image_alone_just_where_nothing_else_is_declared(model: str) -> None:
    method = fitted(f"pyod(model={model!r})")
    whole = method.score(np.concatenate(TEST))
    assert whole.shape == (100,)
    assert np.isfinite(whole).all()
    assert (method.used() == ()) == np.allclose(method.score(TEST[0][:9]), whole[:9], rtol=1e-5)


@pytest.mark.parametrize("model", ["CD", "LMDD", "SOS"])
def test_the_other_declared_detectors_do_look_at_the_other_images(model: str) -> None:
    method = fitted(f"pyod(model={model!r})")
    assert model in OTHER_TEST_IMAGES
    assert not np.allclose(method.score(TEST[0][:9]), method.score(np.concatenate(TEST))[:9], rtol=1e-5)


@functools.cache
def digits() -> tuple[Images, Images, np.ndarray]:
    """Training images of the digit 3; test images, which are other 3s and 8s; their labels."""
    pixels, targets = load_digits(return_X_y=True)
    images = (pixels.reshape(-1, 8, 8, 1) * 15).astype(np.uint8)
    threes, eights = images[targets == 3], images[targets == 8]
    return threes[:140], np.concatenate([threes[140:], eights[:43]]), np.repeat([0, 1], 43).astype(np.uint8)


@pytest.mark.parametrize("model", [m for m in QUICK if m not in ("ECOD", "COPOD", "HBOS")])
def test_detectors_tell_real_digits_apart_by_what_they_have_learnt(model: str) -> None:
    """Fitted on noise instead of threes, none ranks eights above threes as well."""
    train, test, labels = digits()
    learnt = auroc(labels, built(f"pyod(model={model!r})").fit(train, FitContext(seed=1)).score(test))
    noise = np.random.default_rng(0).integers(0, 240, train.shape).astype(np.uint8)
    unlearnt = auroc(labels, built(f"pyod(model={model!r})").fit(noise, FitContext(seed=1)).score(test))
    assert learnt > max(0.8, unlearnt + 0.05), (learnt, unlearnt)


@pytest.mark.parametrize("spec", [*(f"pyod(model={model!r})" for model in QUICK), *DEEP])
def test_detectors_find_the_anomalies_whichever_half_is_normal(spec: str) -> None:
    for normal in (0, 1):
        assert auroc_of(built(spec).fit(lit(normal, 128, normal), FitContext(seed=3)), normal) > 0.95


def test_networks_of_pyod_make_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    for spec in DEEP:
        fitted(spec).score(TEST[0])
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "Epoch" not in captured.err
    assert "it/s" not in captured.err


def test_more_neighbours_than_images_is_pyod_s_own_error() -> None:
    with pytest.raises(ValueError, match="n_neighbors"):
        fitted("pyod(model='KNN',n_neighbors=100)")


# ---------------------------------------------------------------------------------------------------------------------
# Either adapter

SEEDED = ["pyod(model='IForest',n_estimators=20)", *DEEP[:2], GANOMALY, PADIM]


@pytest.mark.parametrize("spec", SEEDED)
def test_the_seed_decides_the_scores_and_generators_are_left_alone(
    spec: str, generator_states: Callable[[], list[Any]]
) -> None:
    before = generator_states()
    method = fitted(spec, seed=5)
    scores = method.score(TEST[0])
    assert np.array_equal(method.score(TEST[0]), scores)
    assert generator_states() == before
    torch.rand(3)
    assert np.array_equal(fitted(spec, seed=5).score(TEST[0]), scores)
    assert not np.allclose(fitted(spec, seed=6).score(TEST[0]), scores)


def test_a_random_state_of_one_s_own_goes_before_the_seed() -> None:
    spec = "pyod(model='IForest',n_estimators=20,random_state=7)"
    assert np.array_equal(fitted(spec, seed=5).score(TEST[0]), fitted(spec, seed=6).score(TEST[0]))


@pytest.mark.parametrize("spec", ["pyod(model='LOF')", "pyod(model='ECOD')", *DEEP, GANOMALY, PADIM])
def test_a_saved_method_scores_as_the_one_that_was_fitted(spec: str, tmp_path: Path) -> None:
    method = fitted(spec, channels=3)
    images = lit(1, 20, 3, channels=3)
    method.save(tmp_path)
    assert np.array_equal(type(method).load(tmp_path).score(images), method.score(images))


# ---------------------------------------------------------------------------------------------------------------------
# anomalib


def test_ganomaly_learns_and_leaves_nothing_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    figures = {}
    weights = {}
    for epochs in (0, 8):
        for normal in (0, 1):
            method = built(GANOMALY.replace("epochs=2", f"epochs={epochs}"))
            method.fit(lit(normal, 96, normal), FitContext(seed=0))
            weights[epochs] = dict(method.network.named_parameters())  # type: ignore[attr-defined]
            figures[epochs, normal] = auroc_of(method, normal)
    assert list(tmp_path.iterdir()) == []
    assert all(not torch.equal(weight, weights[8][name]) for name, weight in weights[0].items())
    # untrained, it ranks the same half first in either case
    assert min(figures[0, 0], figures[0, 1]) < 0.5
    assert min(figures[8, 0], figures[8, 1]) > 0.95


@pytest.mark.parametrize("spec", [GANOMALY, PADIM])
def test_scores_of_anomalib_are_of_the_image_alone(spec: str) -> None:
    method = fitted(spec)
    whole = method.score(np.concatenate(TEST))
    assert whole.shape == (100,)
    assert len(np.unique(whole)) > 90
    assert method.score(TEST[0][:9]) == pytest.approx(whole[:9], rel=1e-3)


def weights_file(folder: Path, seed: int) -> Path:
    """Weights of resnet18 drawn from a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.save(torchvision.models.resnet18(weights=None).state_dict(), folder / f"{seed}.pth")
    return folder / f"{seed}.pth"


def test_a_backbone_takes_its_weights_from_a_file(tmp_path: Path) -> None:
    first, second = (weights_file(tmp_path, seed) for seed in (0, 1))
    padim = f"anomalib(model='Padim',batch_size=16,weights='{first}')"
    method = fitted(resolved(padim))
    state = torch.load(first, weights_only=True)
    layer = method.network.feature_extractor.feature_extractor.layer1[0].conv1.weight  # type: ignore[attr-defined]
    assert torch.equal(layer, state["layer1.0.conv1.weight"])
    assert "weights='0.pth#" in resolved(padim)
    assert method.used() == ("weights pretrained on other images",)
    assert auroc_of(method, 0) > 0.95, "random features of lit halves do"
    other = fitted(resolved(padim.replace(first.name, second.name)))
    assert not np.allclose(other.score(TEST[0]), method.score(TEST[0]))


def test_weights_that_a_model_cannot_take_are_refused(tmp_path: Path) -> None:
    file = weights_file(tmp_path, 0)
    with pytest.raises(BenchError, match=r"0\.pth are not those of wide_resnet50_2"):
        fitted(resolved(f"anomalib(model='Padim',backbone='wide_resnet50_2',weights='{file}')"))
    for spec in (GANOMALY, PADIM):
        with pytest.raises(BenchError, match="no backbone that timm loads with pretrained weights"):
            fitted(resolved(spec.replace(")", f",weights='{file}')")))


def test_absent_weights_are_named_with_the_way_to_fetch_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchError, match=r"huggingface\.co/timm/resnet18") as caught:
        fitted("anomalib(model='Padim',n_features=50)")
    assert 'python -c "from anomalib.models import Padim; Padim(n_features=50)"' in str(caught.value)
    assert "anomalib(model='Padim',pre_trained=False)" in str(caught.value)
    with pytest.raises(BenchError, match=r"download\.pytorch\.org/models/efficientnet") as caught:
        fitted("anomalib(model='Csflow',cross_conv_hidden_channels=8)")
    assert "pre_trained" not in str(caught.value)
    with pytest.raises(BenchError, match=r"Draem needs a folder of other images, but dtd_dir=.*datasets/dtd"):
        fitted("anomalib(model='Draem')")
    assert not (tmp_path / "datasets").exists()

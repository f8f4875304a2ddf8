"""Any detector of pyod on pixels: ``pyod(model='KNN', n_neighbors=5)``.

Zhao, Nasrullah and Li, PyOD: a Python toolbox for scalable outlier detection, JMLR 2019.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import pkgutil
import sys
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from bench.errors import PluginUnavailable
from bench.images import flattened
from bench.method import FitContext, Images, Method, Scores, method
from bench.methods._adapter import arguments, chosen, constructor, shown
from bench.randomness import global_generators_seeded
from bench.specs import Value

DETECTORS = (
    "ABOD", "AE1SVM", "ALAD", "AnoGAN", "AutoEncoder", "CBLOF", "CD", "COF", "COPOD", "DIF", "DeepSVDD", "ECOD",
    "FeatureBagging", "GMM", "HBOS", "HDBSCAN", "IForest", "INNE", "KDE", "KNN", "KPCA", "LMDD", "LOCI", "LODA", "LOF",
    "LUNAR", "MCD", "MO_GAAL", "OCSVM", "PCA", "QMCD", "RGraph", "ROD", "SOD", "SOS", "SO_GAAL", "SUOD", "Sampling",
    "VAE",
)  # fmt: skip
"""Those that take rows of numbers, each in a module of its own name."""

REFUSED = {
    "DevNet": "is trained with labels",
    "XGBOD": "is trained with labels",
    "LSCP": "combines detectors that are given to it as objects",
    "MAD": "takes one number an image",
}

OTHER_TEST_IMAGES = frozenset({"CD", "COF", "COPOD", "DIF", "ECOD", "LMDD", "LOCI", "RGraph", "ROD", "SOD", "SOS"})
"""Detectors whose scores change with the other images that are scored in the same call, as their source shows.

COPOD and ECOD rank the queried rows among themselves and the training rows, RGraph mixes blocks of ten of them with
the training rows; CD fits its regression to the queried rows, DIF standardises its representations over them, ROD
computes its statistics and LMDD its dissimilarities over them; COF, LOCI, SOD and SOS look for neighbours among them.
"""

HARNESS = frozenset({"n_features", "device", "verbose"})
"""Parameters of constructors that are no hyperparameters: the images, the slot and the wish for quiet decide them."""


@method(version="1")
class PyOD(Method):
    """Anomaly score: the detector's ``decision_function`` on pixels in [0, 1].

    - ``model``: the detector's class, as ``KNN``, ``ECOD`` or ``IForest``.
    - Further parameters are those of its constructor. ``random_state`` is the job's seed where it is not given.
    """

    model: str

    def __init__(self, *, model: str, **parameters: Value) -> None:
        self.model = model
        self.parameters = parameters

    @classmethod
    def further_parameters(cls, given: Mapping[str, Value]) -> Mapping[str, Any]:
        parameters = {name: default for name, default in _parameters(given.get("model")).items() if name not in HARNESS}
        return parameters | ({"random_state": None} if "random_state" in parameters else {})

    @classmethod
    def needs_no_gpu(cls, given: Mapping[str, Value]) -> bool:
        return "device" not in _parameters(given.get("model"))

    def hyperparameters(self) -> dict[str, Value]:
        return {"model": self.model, **shown(self.further_parameters({"model": self.model}), self.parameters)}

    def used(self) -> tuple[str, ...]:
        return ("the other test images",) if self.model in OTHER_TEST_IMAGES else ()

    def fit(self, images: Images, context: FitContext) -> Self:
        rows = flattened(images)
        self.seed, self.device = context.seed, context.device
        from_harness = {
            "n_features": rows.shape[1],
            "device": context.device,
            "verbose": 0,
            "random_state": context.seed % 2**32,
        }
        taken = {name: value for name, value in from_harness.items() if name in _parameters(self.model)}
        with global_generators_seeded(context.seed):
            self.detector = _detector(self.model)(**taken | arguments(self.parameters)).fit(rows)
        return self

    def score(self, images: Images) -> Scores:
        if hasattr(self.detector, "device"):
            self.detector.device = self.device  # it may have been loaded onto another one
        with global_generators_seeded(self.seed):  # VAE draws its latent vectors as it scores
            return np.asarray(self.detector.decision_function(flattened(images)), dtype=np.float64)


def _parameters(model: Value) -> Mapping[str, Any]:
    """Parameters of a detector's constructor, with defaults."""
    return constructor(_detector(chosen("pyod", model, DETECTORS, REFUSED, example="KNN")))


@functools.cache
def _detector(name: str) -> type[Any]:
    """A detector of pyod. Raises PluginUnavailable where pyod or a package that it needs is not installed."""
    try:
        import pyod.models

        named = {module.name.replace("_", ""): module.name for module in pkgutil.iter_modules(pyod.models.__path__)}
        with contextlib.redirect_stdout(sys.stderr):  # pyod says there what it misses; what a command prints is ours
            module = importlib.import_module(f"pyod.models.{named[name.replace('_', '').lower()]}")
    except ImportError as error:
        package = (error.name or "pyod").partition(".")[0]
        who = f"pyod's {name} needs {package}" if package != "pyod" else "pyod is not installed"
        raise PluginUnavailable(f"{who}; pip install {package}") from error
    detector: type[Any] = getattr(module, name)
    return detector

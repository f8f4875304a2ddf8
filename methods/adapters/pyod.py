"""Any detector of pyod on pixels: ``pyod(model='KNN', n_neighbors=5)``.

Zhao, Nasrullah and Li, PyOD: a Python toolbox for scalable outlier detection, JMLR 2019.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from bench.errors import PluginUnavailable
from bench.images import flattened
from bench.method import FitContext, Images, Method, Scores, method
from bench.methods._adapter import arguments, chosen, constructor, library, shown
from bench.randomness import global_generators_seeded
from bench.specs import Value

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
        _detector(model)  # imported here, so that no measured time holds it

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


@functools.cache
def _catalogue() -> Mapping[str, Mapping[str, Any]]:
    """What pyod says of its detectors, by name."""
    file = library("pyod") / "utils" / "knowledge" / "algorithms.json"
    if not file.is_file():
        raise PluginUnavailable("the installed pyod has no catalogue of its detectors; pip install 'pyod>=3'")
    entries: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return {name: entry for name, entry in entries.items() if entry["status"] != "planned"}


def _parameters(model: Value) -> Mapping[str, Any]:
    """Parameters of a detector's constructor, with defaults.

    Raises BenchError where the detector cannot be used on images, PluginUnavailable where a package that it needs is
    not installed.
    """
    other_data = {
        name: f"takes no rows of numbers but {' or '.join(entry['data_types'])} data"
        for name, entry in _catalogue().items()
        if "tabular" not in entry["data_types"]
    }
    name = chosen("pyod", model, _catalogue(), {**other_data, **REFUSED}, example="KNN")
    entry = _catalogue()[name]
    absent = [package for package in entry["requires"] if importlib.util.find_spec(package) is None]
    if absent:
        raise PluginUnavailable(f"pyod's {name} needs {', '.join(absent)}; pip install {' '.join(absent)}")
    _, *modules, cls = entry["class_path"].split(".")
    return constructor(library("pyod").joinpath(*modules).with_suffix(".py"), cls)


def _detector(model: str) -> type[Any]:
    module, _, cls = _catalogue()[model]["class_path"].rpartition(".")
    found: type[Any] = getattr(importlib.import_module(module), cls)
    return found

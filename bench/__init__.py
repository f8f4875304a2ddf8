"""oneclass-bench: fair, fast, reproducible benchmarking of one-class image anomaly detection.

What a script or a notebook needs is here: ``run``, ``load``, ``evaluate``, ``fit``, ``load_model``, ``list_methods``
(docs/python.md). Each is imported when it is first asked for: ``import bench`` imports nothing heavy. The names that a
plugin needs are in ``bench.method`` and ``bench.dataset``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bench.version import VERSION as __version__

if TYPE_CHECKING:
    from bench.api.evaluation import Evaluation, evaluate
    from bench.api.model import Model, fit, load_model
    from bench.api.results import Results, load
    from bench.api.running import list_methods, run

__all__ = [
    "Evaluation",
    "Model",
    "Results",
    "__version__",
    "evaluate",
    "fit",
    "list_methods",
    "load",
    "load_model",
    "run",
]

# no function is called as a package or module in here is: whoever imports bench.methods.x sets bench.methods to the
# package, and a function of that name would be gone
_HOMES = {
    "Evaluation": "bench.api.evaluation",
    "Model": "bench.api.model",
    "Results": "bench.api.results",
    "evaluate": "bench.api.evaluation",
    "fit": "bench.api.model",
    "list_methods": "bench.api.running",
    "load": "bench.api.results",
    "load_model": "bench.api.model",
    "run": "bench.api.running",
}

if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'bench' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

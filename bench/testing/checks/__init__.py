"""The checks: what every method promises, one function each.

A check raises ConformanceError with what was seen and what to change, or NotApplicable. Whatever else comes out of the
method counts as a failure of that check.
"""

from bench.testing.checks import contract, scores, training, resuming, normalisation, maps, steps, inputs  # isort: skip  # the order in which they run
from bench.testing.promise import CHECKS

__all__ = ["CHECKS", "contract", "inputs", "maps", "normalisation", "resuming", "scores", "steps", "training"]

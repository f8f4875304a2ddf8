"""The conformance suite: what every method promises, checked for any plugin. See also ``bench check``."""

from bench.testing.suite import conformance

__all__ = ["conformance"]

"""The conformance suite: what every method and protocol promises, checked for any plugin. See also ``bench check``."""

from bench.testing.splits import protocol_conformance
from bench.testing.suite import conformance

__all__ = ["conformance", "protocol_conformance"]

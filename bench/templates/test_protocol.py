"""my_protocol keeps the promises of a protocol, check by check; the same as ``bench check my_protocol``."""

from bench.testing import protocol_conformance

test_my_protocol = protocol_conformance("my_protocol")

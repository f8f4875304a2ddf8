"""my_method keeps the contract of a method, check by check; the same as ``bench check my_method``."""

from bench.testing import conformance

test_my_method = conformance("my_method")

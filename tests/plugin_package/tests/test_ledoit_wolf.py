"""ledoit_wolf keeps the contract of a method, check by check."""

from bench.testing import conformance

test_ledoit_wolf = conformance("ledoit_wolf")

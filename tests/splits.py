"""The project's own protocols, for tests."""

from __future__ import annotations

import functools

from bench.protocol import Protocol, open_protocol
from bench.registry import Registry

PROTOCOLS = Registry("protocol")


@functools.cache
def protocol(spec: str) -> Protocol:
    """The protocol of a spec."""
    return open_protocol(spec, PROTOCOLS)

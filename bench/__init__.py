"""oneclass-bench: fair, fast, reproducible benchmarking of one-class image anomaly detection.

The names that a plugin needs are in ``bench.method`` and ``bench.dataset``; nothing heavy is imported here.
"""

from bench.version import VERSION as __version__

__all__ = ["__version__"]

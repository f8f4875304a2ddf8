"""Every random number of a job derives from the names of its parts; the process's own generators are left as found."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from collections.abc import Iterator


def derive_seed(*parts: str | int) -> int:
    """A 63-bit seed that depends on the named parts alone: ``derive_seed("split", "mnist", "3", 0)``.

    What is named says what shares randomness: two jobs that name the same parts draw the same numbers.
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextlib.contextmanager
def global_generators_seeded(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and (where torch is loaded) torch's global generators for a block, then put them back.

    Methods should draw from generators of their own; this makes those that do not (scikit-learn without a
    ``random_state``, a weight initialiser) depend on the seed alone and not on what ran before in the process.
    """
    import numpy as np
    import torch

    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - the legacy generator is the one that libraries draw from
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002

"""The environment of a machine with pretend GPUs."""

from __future__ import annotations

import os
from pathlib import Path

PRETEND = Path(__file__).parent / "pretend_gpu"


def pretending(gpus: int = 1, **environment: str) -> dict[str, str]:
    """What the environment of a machine with GPUs has."""
    paths = [str(PRETEND), *([os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else [])]
    visible = ",".join(str(number) for number in range(gpus))
    return {"PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": visible, **environment}

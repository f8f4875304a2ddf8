"""A method on images alone: in a process that holds no labels, and in which no file can be read to find them.

``python -m bench.submission.blind FOLDER`` fits and scores what the folder holds and writes the scores beside.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from bench import device, weights
from bench.errors import BenchError
from bench.execution.detector import Clock, built, fitted, precision_named, scores_of
from bench.execution.supervisor import worker_environment
from bench.jobs import Job
from bench.method import FitContext, Images, Scores
from bench.randomness import global_generators_seeded
from bench.registry import KEPT, package_folders
from bench.workspace import Workspace

SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr/lib", "/usr/share/zoneinfo", "/lib")
TOLD = ("lscpu", "uname", "nvidia-smi", "ldconfig", "gcc")
"""Programs that libraries ask about the machine."""
PROCESSES = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "sqlite3.connect")


def blind_scores(job: Job, workspace: Workspace, train: Images, test: Images) -> Scores:
    """The scores (n,) that a job's method, fitted on ``train``, gives to ``test`` where it can see nothing else.

    Raises BenchError where it reads a file, starts a process or opens a connection, or fails.
    """
    with tempfile.TemporaryDirectory(prefix="bench-blind-") as name:
        folder = Path(name)
        np.save(folder / "train.npy", train)
        np.save(folder / "test.npy", test)
        request = {
            "spec": job.spec,
            "fingerprint": job.fingerprint,
            "plugin_folders": list(map(str, workspace.config.plugins.methods)),
            "seed": job.fit_seed,
            "precision": job.precision,
        }
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        environment = {**os.environ, **worker_environment(), "TMPDIR": name, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-P", "-m", __name__, name]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise BenchError((ended.stderr.strip().splitlines() or ["it ended without a word"])[-1])
        scores: Scores = np.load(folder / "scores.npy")
        return scores


class Blindfold:
    """Refuses, by Python's audit events, what a method has no business with while it fits and scores."""

    def __init__(self, folder: Path, plugin_folders: Sequence[str]) -> None:
        packages = ("bench", "bench.methods", "bench.datasets")
        harness = [str(place) for name in packages for place in package_folders(name)]
        installed = [*sys.path, *harness, sysconfig.get_path("stdlib"), sys.prefix, sys.base_prefix]
        self._allowed = [str(folder), *SYSTEM, *(os.path.realpath(path) for path in installed if path)]
        self._code = [os.path.realpath(path) for path in plugin_folders]
        self._on = False
        sys.addaudithook(self._asked)

    def __enter__(self) -> None:
        self._on = True

    def __exit__(self, *_: object) -> None:
        self._on = False

    def _asked(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event in PROCESSES or (event == "subprocess.Popen" and Path(str(arguments[0])).name not in TOLD):
            raise PermissionError(f"it starts a process or opens a connection ({event})")
        if event == "open" and isinstance(arguments[0], str | bytes) and not self._may_open(os.fsdecode(arguments[0])):
            raise PermissionError(f"it opens {os.fsdecode(arguments[0])}, where no file is needed but its weights")

    def _may_open(self, path: str) -> bool:
        whole = os.path.realpath(path)
        allowed = [*self._allowed, *self._code]
        if "datasets" in Path(whole).parts or _within(whole, self._code):  # of which only the code is nobody's labels
            return whole.endswith((".py", ".pyc", ".so", KEPT)) and _within(whole, allowed)
        return _within(whole, allowed) or any(frame.f_code.co_filename == weights.__file__ for frame in _frames())


def _within(path: str, roots: Sequence[str]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def main(folder: Path) -> None:
    """Fit and score what a folder holds, by the processor alone."""
    import torch

    torch.set_num_threads(1)
    asked = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    precision = precision_named(asked["precision"])
    device.set_precision("cpu", precision)
    train, test = np.load(folder / "train.npy"), np.load(folder / "test.npy")
    context = FitContext(seed=asked["seed"], precision=precision)
    with Blindfold(folder, asked["plugin_folders"]), global_generators_seeded(asked["seed"]):
        detector = built(asked["spec"], asked["fingerprint"], asked["plugin_folders"], "cpu")
        for _ in fitted(detector, train, context, Clock("cpu")):
            pass
        scores = scores_of(detector, test)
    np.save(folder / "scores.npy", scores)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

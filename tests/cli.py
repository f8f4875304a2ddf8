"""The real command line for tests: commands in child processes, their workers, and what they leave behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.record import Record
from bench.store import Store

PLUGINS = Path(__file__).parent / "plugins"
TINY_AE = "shared_ae(batch_size=64,epochs=2,image_size=8,latent=4,width=4)"
"""Tiny, yet all of the method: two phases, two optimisers, batch normalisation."""
GATED = "gated(pause=0.2)"
"""The tests' own method, slow enough to be met in the middle of a job."""
LABELS = ("ocsvm", GATED, TINY_AE)
METHODS = ",".join(LABELS)
CLASSES = ",".join("0123456789")

_MARK = "BENCH_TEST_MARK"
_PATIENCE = 600.0
"""Seconds after which a command counts as hung; a machine that others load too may take long."""


def eventually(condition: Callable[[], bool], seconds: float = _PATIENCE, what: str = "") -> None:
    """Wait until the condition holds; fail where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not after {seconds:g} s: {what or condition}"
        time.sleep(0.02)


def python_prints(*arguments: str, folder: Path, python: Path | str = sys.executable, **environment: str) -> str:
    """What ``python …`` prints in a folder, once it has ended well."""
    ended = _ended([str(python), *arguments], folder, {**os.environ, **environment})
    assert ended.returncode == 0, f"{arguments}: {ended.stdout}{ended.stderr}"
    return ended.stdout


def rows(table: str) -> list[list[str]]:
    """The cells of a table as text, row by row, without its title, header and notes."""
    _, _, body = table.strip().split("\n\n")[1].split("\n", 2)
    return [line.split() for line in body.splitlines()]


@dataclass
class Bench:
    """``python -m bench`` in a working folder of its own, so that its records are in ``results/runs`` there."""

    folder: Path
    data: Path
    plugins: Sequence[Path] = ()
    """Folders of methods that a bench.toml names, which is given to every command with ``--config``."""
    environment: dict[str, str] = field(default_factory=dict)
    _mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    _runs: list[Started] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "plugins.toml"
        self.config.write_text(f"[plugins]\nmethods = {[str(folder) for folder in self.plugins]}\n")

    @property
    def store(self) -> Store:
        return Store(self.folder / "results" / "runs")

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return _ended(self.command(*arguments), self.folder, self.all_variables())

    def elsewhere(self, folder: Path) -> Bench:
        """The same command line in another working folder."""
        return Bench(folder, self.data, self.plugins, self.environment, self._mark)

    def digits(self, methods: str, classes: str = CLASSES, *options: str) -> subprocess.CompletedProcess[str]:
        """``bench run`` on scikit-learn's digits."""
        return self(*_digits(methods, classes, options))

    def start_digits(self, methods: str, classes: str = CLASSES, *options: str) -> Started:
        """Start ``bench run`` on scikit-learn's digits and leave it to itself."""
        return self.start(*_digits(methods, classes, options))

    def start(self, *arguments: str) -> Started:
        """Start a command and leave it to itself."""
        said = self.folder / f"run-{uuid.uuid4().hex}"
        output, errors = said.with_suffix(".out"), said.with_suffix(".err")
        with output.open("w") as out, errors.open("w") as err:
            driver = subprocess.Popen(
                self.command(*arguments),
                cwd=self.folder,
                env=self.all_variables(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        run = Started(driver, output, errors)
        self._runs.append(run)
        return run

    def kill_runs(self) -> None:
        """SIGKILL to every run that was started and goes on, as after a test that failed."""
        for run in self._runs:
            run.kill()

    def processes(self, worker: bool = False) -> list[psutil.Process]:
        """Every live process that a command of this object started, at any remove; or the workers alone."""

        def ours(process: psutil.Process) -> bool:
            try:
                if process.status() == psutil.STATUS_ZOMBIE or process.environ().get(_MARK) != self._mark:
                    return False
                return not worker or "bench.execution.worker" in process.cmdline()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                return False

        return [process for process in psutil.process_iter() if ours(process)]

    def all_gone(self, seconds: float = 10.0) -> None:
        """Wait for the last process of this object's commands; fail where one stays."""
        eventually(lambda: not self.processes(), seconds, "no process outlives the run")

    def no_workers(self, seconds: float = 10.0) -> None:
        """Wait for the last worker to be gone, where a cluster's own processes stay."""
        eventually(lambda: not self.processes(worker=True), seconds, "no worker outlives the run")

    def events(self) -> list[dict[str, Any]]:
        """What the logs of all runs tell, in order."""
        logs = sorted((self.store.folder / "logs").glob("*.jsonl"), key=lambda log: log.stat().st_mtime_ns)
        return [json.loads(line) for log in logs for line in log.read_text().splitlines()]

    def records(self) -> list[Record]:
        """Every record, all of them readable."""
        records, unreadable = self.store.records()
        assert unreadable == []
        return records

    def record(self, label: str, normal_class: str = "0", seed: int = 0) -> Record:
        """The one record of a label, class and seed."""
        wanted = (label, normal_class, seed)
        (found,) = [r for r in self.records() if (r.job.label, r.job.normal_class, r.job.seed) == wanted]
        return found

    def scores(self) -> dict[str, dict[str, bytes]]:
        """The arrays of every record that is done, by key and name, to the last bit."""
        done = [record for record in self.records() if record.status == "done"]
        return {r.job.key: {name: a.tobytes() for name, a in self.store.scores(r).items()} for r in done}

    def files(self) -> dict[Path, tuple[int, bytes]]:
        """Time and content of every file that belongs to a record which is there."""
        records = list(self.store.folder.glob("*/*/*/[!.]*.json"))
        scores = [path for record in records for path in record.parent.glob(f"{record.stem}*.npz")]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (*records, *scores)}

    def command(self, *arguments: str) -> list[str]:
        """The words of a command line."""
        config = [] if "--help" in arguments else ["--config", str(self.config)]
        return [sys.executable, "-m", "bench", *arguments, *config]

    def all_variables(self) -> dict[str, str]:
        """The environment of its commands."""
        return {**os.environ, **self.variables()}

    def variables(self) -> dict[str, str]:
        """What the environment of its commands has beyond that of the tests."""
        # no GPU: these tests are about processes, and the same on every machine
        own = {"BENCH_DATA": str(self.data), "CUDA_VISIBLE_DEVICES": "", _MARK: self._mark}
        return {**own, **self.environment}


@dataclass
class Started:
    """A run that goes on by itself, in a session of its own."""

    driver: subprocess.Popen[bytes]
    output: Path
    errors: Path

    def ended(self) -> int:
        """The exit code, once there is one."""
        try:
            return self.driver.wait(_PATIENCE)
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the driver and its process group; its workers are in sessions of their own."""
        if self.driver.poll() is None:
            os.killpg(self.driver.pid, signal.SIGKILL)
            self.driver.wait()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; fail where the run ends before."""
        eventually(lambda: condition() or self._over())

    @property
    def stdout(self) -> str:
        return self.output.read_text()

    @property
    def stderr(self) -> str:
        return self.errors.read_text()

    def _over(self) -> bool:
        assert self.driver.poll() is None, self.stderr
        return False


def _ended(command: Sequence[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
    )


def _digits(methods: str, classes: str, options: Sequence[str]) -> list[str]:
    grid = ["--dataset", "digits", "--profile", "cpu", "--methods", methods, "--classes", classes]
    # --device cpu spares the driver the import of torch
    return ["run", *grid, "--device", "cpu", "--workers", "2", *options]


class Gate:
    """Holds every job of the plugin ``gated`` until it is opened, so that tests meet jobs in their middle."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.environment = {"BENCH_TEST_GATE": str(folder)}

    def waiting(self) -> list[int]:
        """The workers that have come to the gate, by process id."""
        return [int(file.name) for file in self.folder.glob("[0-9]*")]

    def open(self) -> None:
        (self.folder / "open").touch()

    def close(self) -> None:
        """Hold the jobs that come from now on, and forget those that came before."""
        for file in self.folder.iterdir():
            file.unlink()

"""Real clusters for tests: a scheduler and two nodes, each in processes of its own on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
from cli import eventually

NODES = 2
JOIN_SECONDS = 180.0
"""How long a cluster may take to know of a node; starting one takes seconds on a machine that nobody else loads."""


class Cluster(ABC):
    """A cluster with one job at a time on each node. ``environment`` is that of all its processes."""

    kind: str

    def __init__(self, folder: Path, environment: dict[str, str], nodes: int = NODES) -> None:
        self.folder = folder
        self.environment = {**environment, **self.own_environment()}
        self._number = 0
        self._scheduler = self.start_scheduler()
        eventually(self.answers, JOIN_SECONDS, "the scheduler answers")
        self.nodes: list[subprocess.Popen[bytes]] = []
        for _ in range(nodes):
            self.add_node()

    def own_environment(self) -> dict[str, str]:
        return {}

    @property
    @abstractmethod
    def address(self) -> str: ...

    @abstractmethod
    def start_scheduler(self) -> subprocess.Popen[bytes]: ...

    @abstractmethod
    def answers(self) -> bool: ...

    @abstractmethod
    def start_node(self, *size: str) -> subprocess.Popen[bytes]: ...

    @abstractmethod
    def size(self) -> int:
        """Jobs that the cluster takes at a time."""

    def add_node(self, *size: str) -> None:
        """Add a node, of one CPU where nothing else is said."""
        before = self.size()
        self.nodes.append(self.start_node(*size))
        eventually(lambda: self.size() == before + 1, JOIN_SECONDS, "the node has joined")

    def kill_a_node(self) -> None:
        """SIGKILL to what a node is, as when its machine is gone."""
        before = self.size()
        victim = self.nodes.pop()
        _kill(victim)
        eventually(lambda: self.size() == before - 1, JOIN_SECONDS, "the node is known to be lost")

    def kill_the_scheduler(self) -> None:
        _kill(self._scheduler)

    def options(self) -> list[str]:
        """What makes ``bench run`` use it."""
        return ["--executor", self.kind, "--address", self.address]

    def stop(self) -> None:
        for process in (*self.nodes, self._scheduler):
            _kill(process)

    def launch(self, *arguments: str) -> subprocess.Popen[bytes]:
        self._number += 1
        with (self.folder / f"process-{self._number}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def asked(self, code: str) -> str:
        """What a program prints that is a client of the cluster; nothing where it fails."""
        answer = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return answer.stdout.strip() if answer.returncode == 0 else ""


class RayCluster(Cluster):
    kind = "ray"

    def own_environment(self) -> dict[str, str]:
        # sockets have short paths; Ray listens on every interface, so whoever has not the token is refused
        self._sockets = tempfile.mkdtemp(prefix="ray-")
        self._port = _free_port()
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        head = ["--head", f"--port={self._port}", f"--temp-dir={self._sockets}", "--include-dashboard=false"]
        return self.launch("ray.scripts.scripts", "start", "--block", "--num-cpus=0", "--num-gpus=0", *head)

    def start_node(self, *size: str) -> subprocess.Popen[bytes]:
        joined = ["--block", f"--address={self.address}"]
        return self.launch("ray.scripts.scripts", "start", *joined, *(size or ("--num-cpus=1", "--num-gpus=0")))

    def answers(self) -> bool:
        return self.asked(self._client("len(ray.nodes())")) == "1"

    def size(self) -> int:
        return int(float(self.asked(self._client("ray.cluster_resources().get('CPU', 0)")) or -1))

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _client(self, expression: str) -> str:
        """A program that prints a value, and on stderr what Ray has to say meanwhile, as of a lost node."""
        connect = f"ray.init({self.address!r}, log_to_driver=False, logging_level='ERROR')"
        return f"import ray, sys; out, sys.stdout = sys.stdout, sys.stderr; {connect}; print({expression}, file=out)"


class DaskCluster(Cluster):
    kind = "dask"

    @property
    def address(self) -> str:
        address: str = json.loads((self.folder / "scheduler.json").read_text())["address"]
        return address

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        file = str(self.folder / "scheduler.json")
        return self.launch(
            "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file
        )

    def start_node(self, *size: str) -> subprocess.Popen[bytes]:
        where = ["--host", "127.0.0.1", "--local-directory", str(self.folder), "--no-nanny", "--no-dashboard"]
        return self.launch("dask", "worker", self.address, *where, *(size or ("--nthreads", "1")))

    def answers(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return bool(self.address)
        return False

    def size(self) -> int:
        return int(self.asked(f"from distributed import Client; print(len(Client({self.address!r}).nthreads()))") or -1)


@contextlib.contextmanager
def started(kind: type[Cluster], folder: Path, environment: dict[str, str], nodes: int = NODES) -> Iterator[Cluster]:
    """A cluster that is stopped at the end of the block."""
    cluster = kind(folder, environment, nodes)
    try:
        yield cluster
    finally:
        cluster.stop()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a process and those below it, except what has made itself a session of its own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for below in reversed(_below(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(below, signal.SIGKILL)
    process.kill()
    process.wait()


def _below(pid: int) -> Sequence[int]:
    ours = [p.pid for p in psutil.Process(pid).children(recursive=True)]
    return [p for p in ours if "bench.execution.worker" not in " ".join(_command(p))]


def _command(pid: int) -> list[str]:
    try:
        return psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

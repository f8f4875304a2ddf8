"""Claims: which jobs of a results folder a run is doing, so that several runs on one folder share the work.

``<results>/claims/<key>.json`` says who does a job. It is made before the job starts, by one run alone; its owner
renews its time every few seconds and removes it at the end. One whose owner is gone, or gives no sign for minutes, is
taken over. A claim that is lost, or taken wrongly, costs nothing but time: the job is done twice, with the same scores.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import json
import os
import socket
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.execution.processes import lives
from bench.jobs import Job

CLAIMS = "claims"
"""Folder, in the results folder, of the claims."""
BEAT_SECONDS = 20.0
"""How often an owner renews its claims."""
STALE_SECONDS = 300.0
"""How long an owner may give no sign; file servers tell of a change only after a minute."""


@dataclass(frozen=True)
class Owner:
    """A run: where its process is, and a name of its own."""

    host: str
    system: str
    """What two processes share that see each other by their numbers: the kernel's boot, and its space of numbers."""
    pid: int
    run: str

    @classmethod
    def here(cls) -> Owner:
        """A new run of this process."""
        return cls(socket.gethostname(), _system(), os.getpid(), uuid.uuid4().hex)

    @property
    def gone(self) -> bool:
        """Whether its process has ended, as far as that can be seen from here."""
        return (self.host, self.system) == (socket.gethostname(), _system()) and not lives(self.pid)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class Claim:
    """A claim as it lies in a results folder."""

    path: Path
    text: bytes
    """What tells it from another one of the same job; empty as long as it is being written."""
    title: str
    since: str
    owner: Owner | None
    """None where the file does not tell."""
    dead: bool
    """Whether nobody works on the job: it is free for whoever takes the claim over."""

    @property
    def key(self) -> str:
        """That of the job."""
        return self.path.stem


class Claims:
    """The claims of one run. Use it as a context: meanwhile they are renewed, and at its end given up."""

    def __init__(self, results: Path, owner: Owner | None = None) -> None:
        self._folder = results / CLAIMS
        self._owner = owner or Owner.here()
        self._held: dict[Path, bytes] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Self:
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._heart.join()
        for path in list(self._held):
            self._give_up(path)

    def take(self, job: Job) -> Claim | None:
        """Claim a job. None: it is this run's now; else the living claim of another run, which stands.

        Raises OSError where the folder takes no file.
        """
        path = self._folder / f"{job.key}.json"
        since = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        text = json.dumps({"job": job.title, "since": since, "owner": dataclasses.asdict(self._owner)}).encode()
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                _make(path, text)
            except FileExistsError:
                standing = read(path)
                if standing is not None and not standing.dead:
                    return standing
                if standing is not None:
                    remove(standing)
                continue
            with self._lock:
                self._held[path] = text
            return None

    def release(self, job: Job) -> None:
        """Give up the claim of a job, where this run holds it."""
        self._give_up(self._folder / f"{job.key}.json")

    def beat(self) -> None:
        """Renew every claim that is held."""
        with self._lock:
            held = dict(self._held)
        for path, text in held.items():
            with contextlib.suppress(OSError):  # lost, or the server is away: the job goes on all the same
                if path.read_bytes() == text:
                    os.utime(path)

    def _renew(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            self.beat()

    def _give_up(self, path: Path) -> None:
        with self._lock:
            text = self._held.pop(path, None)
        with contextlib.suppress(OSError):  # what cannot be removed is dead as soon as this process is
            if text is not None and path.read_bytes() == text:
                path.unlink()


def claims(results: Path) -> list[Claim]:
    """Every claim in a results folder, in order of its job's key."""
    found = (read(path) for path in sorted((results / CLAIMS).glob("[!.]*.json")))
    return [claim for claim in found if claim is not None]


def leftovers(results: Path) -> list[Path]:
    """Files of claims that nobody needs any more: those of runs that are gone."""
    aside = (results / CLAIMS).glob(".*.tmp")
    now = time.time()
    return [*(claim.path for claim in claims(results) if claim.dead), *(p for p in aside if _silent(p, now))]


def read(path: Path) -> Claim | None:
    """The claim in a file; None where there is none (any more)."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    title, since, owner = "", "", None
    with contextlib.suppress(ValueError, KeyError, TypeError):  # being written, or damaged: its time alone counts
        facts = json.loads(text)
        title, since, owner = facts["job"], facts["since"], Owner(**facts["owner"])
    dead = (owner is not None and owner.gone) or _silent(path, _server_time(path.parent))
    return Claim(path, text, title, since, owner, dead)


def remove(claim: Claim) -> None:
    """Remove a claim, and no other that has come in its place."""
    aside = claim.path.with_name(f".{claim.path.name}.{uuid.uuid4().hex}.tmp")
    try:
        claim.path.rename(aside)
    except FileNotFoundError:
        return
    if aside.read_bytes() != claim.text:  # somebody was faster, and has claimed the job
        with contextlib.suppress(OSError):
            os.link(aside, claim.path)
    aside.unlink(missing_ok=True)


def _make(path: Path, text: bytes) -> None:
    """Raises FileExistsError where there is one, which the file server decides."""
    file = path.open("xb")
    try:
        with file:
            file.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _silent(path: Path, now: float) -> bool:
    """Whether a file has not been renewed for long; not where it is gone."""
    try:
        return path.stat().st_mtime < now - STALE_SECONDS
    except FileNotFoundError:
        return False


def _server_time(folder: Path) -> float:
    """What the clock says that gives files their times: on a network it is the server's."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # a folder that may only be read, or a full disk
        return time.time()


@functools.cache
def _system() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not on Linux, where the host's name has to do
        return ""

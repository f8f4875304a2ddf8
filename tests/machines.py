"""A machine of somebody else: an empty working folder and an environment into which packages are installed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from cli import python_prints

from bench.record import Record
from bench.store import Store

PACKAGE = Path(__file__).parent / "plugin_package"
"""A plugin package with a method and a protocol."""
OFFLINE = ["--quiet", "--no-deps", *(["--no-build-isolation"] if importlib.util.find_spec("setuptools") else [])]
"""For pip: all that the package needs is there."""


@dataclass(frozen=True)
class Machine:
    """An empty working folder, and a virtual environment that also sees everything that this one has installed."""

    folder: Path
    python: Path

    def __call__(self, *arguments: str) -> str:
        """What ``python …`` prints, once it has ended well."""
        own = {"BENCH_DATA": str(self.folder / "data"), "CUDA_VISIBLE_DEVICES": ""}
        return python_prints(*arguments, folder=self.folder, python=self.python, **own)

    def bench(self, *arguments: str) -> str:
        return self("-m", "bench", *arguments)

    def sources(self) -> dict[str, str]:
        """Where each method comes from, by name."""
        return {row["name"]: row["source"] for row in json.loads(self.bench("list", "methods", "--json"))}

    def records(self) -> list[Record]:
        """Every record, all of them of jobs that ended well."""
        records, unreadable = Store(self.folder / "results" / "runs").records()
        assert unreadable == []
        assert {record.status for record in records} == {"done"}
        return records


def new_machine(place: Path) -> Machine:
    """One with nothing installed of its own yet."""
    environment, folder = place / "environment", place / "work"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (site,) = environment.glob("lib/python3.*/site-packages")
    seen = dict.fromkeys(sysconfig.get_path(scheme) for scheme in ("purelib", "platlib"))
    # addsitedir, and not the bare paths, for the .pth files of editable installs to be read
    (site / "outer.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in seen))
    return Machine(folder, environment / "bin" / "python")

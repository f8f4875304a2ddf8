"""Everything that ten minutes on a GPU have to show, in one command: gpu.json and gpu.md in a folder.

    python benchmarks/gpu.py --out DIR [--sections throughput,memory] [--seconds 570] [--device cpu --small]

It needs this checkout, installed or on PYTHONPATH, and no network: where no registry is reached,

    python -m pip install --no-index --no-deps --no-build-isolation -e .

installs it over what is there. Each section is written as soon as it is done, so that a limit of time loses nothing but
what comes after; a section that fails says why and the next goes on. ``--device cpu --small`` tries the script itself.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gpu_training import Given, graphs, memory, peer, throughput, waits

from bench import device

PLUGINS = Path(__file__).parent / "plugins"
CLASSES = "0,1,2"
SHOWN = {"fp32": 0.01, "tf32": 0.05}
"""How far an AUROC on the GPU may be from the CPU's, by precision."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    arguments.add_argument("--small", action="store_true", help="small shapes and few of them")
    arguments.add_argument("--seconds", type=float, default=570.0, help="no section begins after these")
    arguments.add_argument("--sections", default=",".join(SECTIONS))
    asked = arguments.parse_args()
    given = Given(asked.out, asked.device, asked.small, time.monotonic() + asked.seconds)
    given.keep = keep = functools.partial(_write, given)
    for name in asked.sections.split(","):
        if given.left <= 0:
            given.found[name] = {"left out": f"the {asked.seconds:g} s were over"}
            continue
        began = time.monotonic()
        print(f"{name} …", flush=True)
        try:
            given.found[name] = SECTIONS[name](given)
        except Exception as error:  # noqa: BLE001 - the next section may still tell something
            given.found[name] = {"failed": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        given.found[name]["seconds"] = round(time.monotonic() - began, 1)
        keep()
    print((given.out / "gpu.md").read_text())


# ---------------------------------------------------------------------------------------------------------------------
# What the machine can do


def machine(given: Given) -> dict[str, Any]:
    """Names and versions, rates of matrix products, of copies and of launches."""
    import torch

    facts: dict[str, Any] = {"python": platform.python_version(), "torch": torch.__version__, "cores": device.cores()}
    if given.device == "cuda":
        facts |= device.facts("cuda:0")
        facts["nvidia-smi"] = device.ask_driver("-L").strip()
    return {**facts, **_rates(given.device, 512 if given.small else 8192)}


def _rates(place: str, size: int) -> dict[str, float]:
    import torch

    found: dict[str, float] = {}
    for precision in ("fp32", "tf32", "bf16") if place == "cuda" else ("fp32",):
        device.set_precision(place, precision)  # type: ignore[arg-type]
        a = torch.randn(size, size, device=place, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
        found[f"matrix TFLOP/s, {precision}"] = 2 * size**3 / _seconds(functools.partial(torch.mm, a, a), place) / 1e12
    device.set_precision(place, "fp32")
    x = torch.empty(size * size * 4, dtype=torch.uint8, device=place)
    found["copy GB/s"] = 2 * x.numel() / _seconds(x.clone, place) / 1e9
    small = torch.zeros(1, device=place)
    found["µs a launch"] = _seconds(lambda: [small.add_(1) for _ in range(1000)], place) * 1e3
    return found


def _seconds(work: Callable[[], Any], place: str, repeats: int = 5) -> float:
    """The median over repeats, after one that is not counted."""
    took = []
    for _ in range(repeats + 1):
        device.synchronise(place)
        began = time.perf_counter()
        work()
        device.synchronise(place)
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])


# ---------------------------------------------------------------------------------------------------------------------
# Whole runs


def quickstart(given: Given) -> dict[str, Any]:
    """The README's first command on the device."""
    began = time.monotonic()
    records, said = _run(given, "--suite", "quickstart", "--methods", "all", "--seeds", "1", *_few(given))
    means: dict[str, list[float]] = {}
    for record in records:
        means.setdefault(record.job.label, []).append(record.metrics.get("auroc", float("nan")))
    return {
        "jobs": len(records),
        "done": sum(record.status == "done" for record in records),
        "wall seconds": round(time.monotonic() - began, 1),
        "AUROC": {label: round(statistics.fmean(figures), 4) for label, figures in means.items()},
        "said": said[-400:],
    }


def same(given: Given) -> dict[str, Any]:
    """One job twice, and beside seven others: the same scores, bit for bit."""
    methods = "shared_ae,vae,ganomaly,skip_ganomaly,deep_svdd"
    classes = "0,1" if given.small else ",".join("01234567")
    asked = ["--dataset", "digits", "--profile", "cpu", "--methods", methods, "--classes", classes]
    runs = {name: _scores(given, *asked, *jobs) for name, jobs in _packings(given).items()}
    first = runs["1 job"]
    return {
        "jobs": len(first),
        **{
            name: f"{sum(first.get(k) == v for k, v in own.items())} of {len(first)} alike"
            for name, own in runs.items()
        },
        "different": sorted({k for own in runs.values() for k, v in own.items() if first.get(k) != v}),
    }


def _packings(given: Given) -> dict[str, list[str]]:
    if given.device == "cpu":
        return {"1 job": ["--workers", "1"], "1 job, again": ["--workers", "1"], "2 jobs": ["--workers", "2"]}
    one = ["--jobs-per-gpu", "1"]
    return {"1 job": one, "1 job, again": one, "8 jobs": ["--jobs-per-gpu", "8"]}


def against_cpu(given: Given) -> dict[str, Any]:
    """AUROC on the CPU, and on the GPU with products of fp32 and of tf32; and no † without a reason."""
    asked = [
        "--dataset",
        "digits",
        "--profile",
        "cpu",
        "--methods",
        "all",
        "--classes",
        "0" if given.small else CLASSES,
    ]
    cpu, _ = _run(given, *asked, "--device", "cpu")
    by_job = {(r.job.label, r.job.normal_class): r.metrics["auroc"] for r in cpu}
    found: dict[str, Any] = {}
    for precision in ("fp32", "tf32") if given.device == "cuda" else ("fp32",):
        records, _ = _run(given, *asked, "--precision", precision)
        gaps = {(r.job.label, r.job.normal_class): r.metrics.get("auroc", float("nan")) for r in records}
        worst = {label: max(abs(gaps[k] - by_job[k]) for k in gaps if k[0] == label) for label, _ in gaps}
        found[precision] = {
            "largest difference of AUROC": {label: round(gap, 5) for label, gap in worst.items()},
            "within": SHOWN[precision],
            "marked †": sorted({r.job.label for r in records if r.ledger.get("used")}),
        }
    return found


def faults(given: Given) -> dict[str, Any]:
    """An assert, too much memory and a kill on the device, each followed by a healthy job in the same slot."""
    specs = [f"gpu_faults(how={how!r})" for how in ("assert", "memory", "kill")]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "bench.toml"
        config.write_text(f"[plugins]\nmethods = [{str(PLUGINS)!r}]\n")
        asked = ["--dataset", "digits", "--classes", "0,1", "--workers", "1", "--config", str(config)]
        records, said = _run(given, *asked, "--methods", ",".join([*specs, "gpu_faults"]))
    return {
        "Traceback": "Traceback" in said,
        **{
            f"{r.job.label}, class {r.job.normal_class}": f"{r.status}: {r.reason[:90]}" + (" ×2" if r.attempts else "")
            for r in records
        },
    }


def _few(given: Given) -> list[str]:
    return ["--classes", "0"] if given.small else []


def _run(given: Given, *asked: str) -> tuple[list[Any], str]:
    """The records of a run into a folder of its own, and what it said."""
    from bench.store import Store

    where = [] if "--device" in asked else ["--device", given.device]
    with tempfile.TemporaryDirectory() as folder:
        environment = {"BENCH_DATA": str(Path(tempfile.gettempdir()) / "bench-gpu-data"), **os.environ}
        ended = subprocess.run(
            [sys.executable, "-m", "bench", "run", *asked, *where, "--results", folder],
            capture_output=True, text=True, check=False, env=environment,
        )  # fmt: skip
        records = Store(Path(folder)).records()[0]
        if not records:
            raise RuntimeError(f"{' '.join(asked)} left no record: {ended.stderr[-600:]}")
        return records, ended.stdout + ended.stderr


def _scores(given: Given, *asked: str) -> dict[str, str]:
    records, _ = _run(given, *asked)
    return {r.job.title: str(r.scores_sha256) for r in records if r.status == "done"}


SECTIONS: dict[str, Callable[[Given], dict[str, Any]]] = {
    "machine": machine,
    "graphs": graphs,
    "waits": waits,
    "throughput": throughput,
    "memory": memory,
    "peer": peer,
    "faults": faults,
    "same": same,
    "against_cpu": against_cpu,
    "quickstart": quickstart,
}


# ---------------------------------------------------------------------------------------------------------------------
# The page


def _write(given: Given) -> None:
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "gpu.json").write_text(json.dumps(given.found, indent=1))
    (given.out / "gpu.md").write_text(_page(given.found))


def _page(found: dict[str, Any]) -> str:
    lines = ["# On a GPU", ""]
    for name, section in found.items():
        lines += [f"## {name}", "", (SECTIONS[name].__doc__ or "").partition("\n")[0], "", *_lines(section), ""]
    return "\n".join(lines)


def _lines(section: dict[str, Any]) -> Iterator[str]:
    for key, value in section.items():
        if key == "traceback":
            continue
        if isinstance(value, dict) and value and all(isinstance(each, dict) for each in value.values()):
            yield from ("", *_table(key, value), "")
        elif isinstance(value, dict):
            yield f"- {key}: " + ", ".join(f"{inner} {shown}" for inner, shown in value.items())
        else:
            yield f"- {key}: {value}"


def _table(title: str, rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    columns: Sequence[str] = list(dict.fromkeys(key for row in rows.values() for key in row))
    yield f"| {title} | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, row in rows.items():
        yield f"| {name} | {' | '.join(str(row.get(column, '–')) for column in columns)} |"


if __name__ == "__main__":
    main()

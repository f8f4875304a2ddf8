"""All that is known of devices: how many cores and GPUs there are, what memory they have and hold, how exactly they
compute, and what it means when one fails.

torch is imported where it is needed: a command that only asks for cores does without.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.errors import BenchError
from bench.method import Precision

Kind = Literal["cpu", "cuda"]

ANSWER_SECONDS = 120.0
"""How long a GPU, or the driver's own program, may take to answer: a first import of torch on a cold disk included."""

CUBLAS_WORKSPACE = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
"""What cuBLAS needs to add up in the same order every time; it is read once, when a process first uses the GPU."""


def kind(device: str) -> Kind:
    """``cuda`` for any of the GPUs, else ``cpu``."""
    return "cuda" if device.startswith("cuda") else "cpu"


def cores() -> int:
    """Processor cores that this process may use: its affinity, and the quota of its container."""
    from joblib import cpu_count

    return int(cpu_count())


# ---------------------------------------------------------------------------------------------------------------------
# Which GPUs there are


@dataclass(frozen=True)
class Card:
    """A GPU, or a part of one (MIG), as one process sees it.

    ``identity`` is its word in CUDA_VISIBLE_DEVICES; ``free`` and ``total`` are bytes; ``problem`` says why it does not
    answer; ``exclusive``: it takes one process at a time.
    """

    identity: str
    name: str = ""
    free: int = 0
    total: int = 0
    exclusive: bool = False
    problem: str = ""


_PROBE = """
import json, torch
found = []
for number in range(torch.cuda.device_count()):
    try:
        facts = torch.cuda.get_device_properties(number)
        free, total = torch.cuda.mem_get_info(number)
        found.append({"name": facts.name, "free": free, "total": total, "uuid": str(getattr(facts, "uuid", ""))})
    except Exception as error:
        found.append({"problem": str(error).partition(chr(10))[0]})
print(json.dumps(found))
"""
"""Asks in a process of its own: asking makes a context, which would hold some of the GPU for good."""


def gpus() -> list[str]:
    """The word in CUDA_VISIBLE_DEVICES for each GPU that is visible here; a batch system's choice is kept.

    Parts of GPUs (MIG) are named one by one, although any one process sees but the first of them.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not (_has_driver() if visible is None else visible.strip()):
        return []  # torch would say so too, but takes seconds to import

    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        return []
    named = [part.strip() for part in visible.split(",") if part.strip()] if visible else []
    parts = [name for name in named if name.startswith("MIG")] if named else _mig_parts()
    if parts:
        return parts
    return named[:count] if named else [str(number) for number in range(count)]


def cards(identities: Sequence[str]) -> list[Card]:
    """The named GPUs with their free memory. One that does not answer has a ``problem``."""
    whole = [identity for identity in identities if not identity.startswith("MIG")]
    groups = [whole] if whole else []
    groups += [[identity] for identity in identities if identity.startswith("MIG")]
    probes = [_start_probe(group) for group in groups]
    found = {card.identity: card for group, probe in zip(groups, probes, strict=True) for card in _answer(group, probe)}
    return [found[identity] for identity in identities]


def exclusive(uuid: str, index: str) -> bool:
    """Whether a GPU takes one process at a time: it is so set, and no MPS server stands between."""
    modes = _driver_says("index,uuid,compute_mode")
    mine = [mode for number, their, mode in modes if (uuid in their if uuid else number == index)]
    return "Exclusive_Process" in mine and not mps_runs()


def mps_runs() -> bool:
    """Whether NVIDIA's Multi-Process Service runs here, which lets the kernels of several processes run at once."""
    import psutil

    return any("nvidia-cuda-mps" in (process.info["name"] or "") for process in psutil.process_iter(["name"]))


def _start_probe(group: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _PROBE],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(group)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _answer(group: Sequence[str], probe: subprocess.Popen[str]) -> Iterator[Card]:
    try:
        output, errors = probe.communicate(timeout=ANSWER_SECONDS)
        facts: list[dict[str, Any]] = json.loads(output.splitlines()[-1]) if probe.returncode == 0 else []
        problem = (errors.strip().splitlines() or ["it cannot be seen any more"])[-1]
    except subprocess.TimeoutExpired:
        probe.kill()
        facts, problem = [], f"no answer within {ANSWER_SECONDS:g} s"
    except (ValueError, IndexError) as error:
        facts, problem = [], f"an answer that cannot be read: {error}"
    for number, identity in enumerate(group):
        fact = facts[number] if number < len(facts) else {"problem": problem}
        if "problem" in fact:
            yield Card(identity, problem=fact["problem"])
        else:
            alone = exclusive(fact["uuid"], identity)
            yield Card(identity, fact["name"], int(fact["free"]), int(fact["total"]), alone)


def _has_driver() -> bool:
    """Whether there is what torch drives GPUs by: NVIDIA's library, which it loads by this name, or AMD's device."""
    with contextlib.suppress(OSError):
        ctypes.CDLL("libcuda.so.1")
        return True
    return Path("/dev/kfd").exists()


def _mig_parts() -> list[str]:
    """Of every GPU that is cut into parts, the parts."""
    return re.findall(r"UUID:\s*(MIG-[^)\s]+)", ask_driver("-L"))


def _driver_says(facts: str) -> list[list[str]]:
    answer = ask_driver(f"--query-gpu={facts}", "--format=csv,noheader")
    return [[part.strip() for part in line.split(",")] for line in answer.splitlines() if line.count(",")]


@functools.cache
def ask_driver(*arguments: str) -> str:
    """What the driver's own program says; empty where it is not there, which CUDA does not need."""
    try:
        answer = subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout


# ---------------------------------------------------------------------------------------------------------------------
# How exactly a device computes


def set_precision(device: str, precision: Precision) -> None:
    """Have torch compute as a job asks: ``fp32`` is fp32 and ``tf32`` rounds inputs of products to 10 bits of mantissa.

    On a GPU also the same way every time, as far as its libraries can. Raises BenchError for tf32 where there is none.
    """
    if precision == "tf32" and kind(device) == "cpu":
        raise BenchError("--precision tf32 is a way in which GPUs compute; use fp32 or bf16 on the CPU")
    if kind(device) == "cpu":
        return
    import torch
    import torch.utils.deterministic

    _set_products("tf32" if precision == "tf32" else "ieee")
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # it costs, and serves debugging


def facts(device: str) -> dict[str, Any]:
    """What a record keeps of a device: its name and memory, driver and libraries, and how exactly it was to compute."""
    import torch

    if kind(device) == "cpu":
        return {}
    properties = torch.cuda.get_device_properties(device)
    return {
        "gpu": properties.name,
        "gpu_memory_bytes": properties.total_memory,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": _driver_version(),
        "products": _products(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cublas_workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        "mps": mps_runs(),
    }


def _set_products(exactness: Literal["ieee", "tf32"]) -> None:
    """Of matrices and in convolutions, of fp32 numbers."""
    import torch

    if hasattr(torch.backends, "fp32_precision"):
        parts: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)  # type: ignore[attr-defined]
        for part in parts:
            part.fp32_precision = exactness
    else:  # before torch 2.9
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = exactness == "tf32"


def _products() -> str:
    import torch

    if hasattr(torch.backends, "fp32_precision"):
        return str(torch.backends.cudnn.conv.fp32_precision)  # type: ignore[attr-defined]
    return "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"


@functools.cache
def _driver_version() -> str | None:
    with contextlib.suppress(OSError):
        if found := re.search(r"Module\s+([\d.]+)", Path("/proc/driver/nvidia/version").read_text()):
            return found[1]
    versions = [line.strip() for line in ask_driver("--query-gpu=driver_version", "--format=csv,noheader").splitlines()]
    return versions[0] if versions else None


# ---------------------------------------------------------------------------------------------------------------------
# Time and memory of one job within a process that runs many


def synchronise(device: str) -> None:
    """Wait until the device has done all that it was asked to do."""
    if kind(device) == "cuda":
        import torch

        torch.cuda.synchronize(device)


def reset_peak(device: str) -> None:
    """Start counting the peak of memory anew. On Linux; elsewhere the process's own peak only grows."""
    if kind(device) == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        with contextlib.suppress(OSError):  # some containers forbid it: the peak then counts from the worker's start
            Path("/proc/self/clear_refs").write_text("5")


def peak(device: str) -> dict[str, int]:
    """Bytes since ``reset_peak``. Of a GPU: what tensors held (``peak_memory_bytes``), and what torch had reserved for
    them (``reserved_memory_bytes``). Else the process's resident memory."""
    if kind(device) == "cuda":
        import torch

        held, reserved = torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)
        return {"peak_memory_bytes": int(held), "reserved_memory_bytes": int(reserved)}
    return {"peak_memory_bytes": _resident_peak()}


def release(device: str) -> None:
    """Give back what is kept for later: torch's of a GPU, where other jobs may be waiting, and freed main memory, which
    would count towards the next job's peak. Raises what a GPU raises that has failed before."""
    gc.collect()  # methods may hold themselves in circles, and with them their tensors
    with contextlib.suppress(AttributeError, OSError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)
    if kind(device) == "cuda":
        import torch

        torch.cuda.synchronize(device)  # or what went wrong shows in the next job
        torch.cuda.empty_cache()


def _resident_peak() -> int:
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024


# ---------------------------------------------------------------------------------------------------------------------
# What failed

Failure = Literal["memory", "device"]

_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY|CUDA out of memory|ALLOC(ATION)?_FAILED"
)
_DEVICE = re.compile(
    r"CUDA error|CUDA_ERROR|CUDA driver error|(CUBLAS|CUDNN|CUSOLVER|CUSPARSE|CUFFT|CURAND)_STATUS|cuDNN error"
)


def failure(error: BaseException) -> Failure | None:
    """Whether an exception means that memory ran out, or else that a GPU failed, after which its process is of no more
    use; None where it means neither."""
    import torch

    chain = list(_chain(error))
    if any(isinstance(each, MemoryError | torch.cuda.OutOfMemoryError) for each in chain):
        return "memory"
    texts = [str(each) for each in chain if isinstance(each, RuntimeError)]
    if any(_OUT_OF_MEMORY.search(text) for text in texts):
        return "memory"
    accelerator = getattr(torch, "AcceleratorError", ())
    failed = any(_DEVICE.search(text) for text in texts) or any(isinstance(each, accelerator) for each in chain)
    return "device" if failed else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__

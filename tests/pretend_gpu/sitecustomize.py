"""A pretend GPU for tests: on PYTHONPATH, it has every Python process see GPUs that compute on the CPU.

BENCH_PRETEND_GPUS says how many there are, BENCH_PRETEND_GB how much memory each has, BENCH_PRETEND_CORES how many
cores. What is asked of ``cuda`` is done on the CPU, a CUDA graph is a tape of operations, and ``torch.cuda.pretend``
breaks the GPU as a kernel that fails does: whatever is asked of it from then on fails in that process.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

GB = 10**9


def gpus_in_sight() -> int:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = int(os.environ.get("BENCH_PRETEND_GPUS", "1"))
    return there if named is None else len([name for name in named.split(",") if name.strip()])


class Loader(importlib.abc.Loader):
    """Loads torch and has it pretend."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def create_module(self, spec: Any) -> Any:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.real.exec_module(module)
        pretend(module)


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)  # whoever asks may only want to know whether it is there
        if spec is not None:
            spec.loader = Loader(spec.loader)
        return spec


def pretend(torch: Any) -> None:
    from torch.overrides import TorchFunctionMode

    cuda, broken = torch.cuda, []
    memory = int(float(os.environ.get("BENCH_PRETEND_GB", "16")) * GB)

    def require_alive(*_: Any, **__: Any) -> None:
        if broken:
            raise torch.AcceleratorError(f"CUDA error: {broken[0]}\nCUDA kernel errors might be reported later")

    def fail(reason: str) -> None:
        """Break the GPU for this process, and raise what the failing kernel does."""
        broken.append(reason)
        require_alive()

    def on_cpu(value: Any) -> Any:
        if isinstance(value, torch.device | str) and str(value).startswith("cuda"):
            require_alive()
            return torch.device("cpu")
        return value

    class OnTheCpu(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
            if function is torch.device:  # to speak of one is not to use it
                return function(*arguments, **(named or {}))
            placed = {name: on_cpu(value) for name, value in (named or {}).items()}
            return function(*(on_cpu(value) for value in arguments), **placed)

    class Stream:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def wait_stream(self, other: Any) -> None:
            require_alive()

    class Graph:
        def __init__(self) -> None:
            from bench.testing.tape import Tape

            self.tape = Tape()

        def replay(self) -> None:
            require_alive()
            self.tape.replay()

    facts = SimpleNamespace(name="Pretend GPU", total_memory=memory, uuid="00000000-pretend", major=9, minor=0)
    replaced = {
        "is_available": lambda: True,
        "device_count": gpus_in_sight,
        "current_device": lambda: 0,
        "get_device_name": lambda *_: facts.name,
        "get_device_properties": lambda *_: facts,
        "mem_get_info": lambda *_: (memory, memory),
        "synchronize": require_alive,
        "set_sync_debug_mode": require_alive,
        "empty_cache": require_alive,
        "reset_peak_memory_stats": require_alive,
        "max_memory_allocated": lambda *_: GB // 4,
        "max_memory_reserved": lambda *_: GB // 2,
        "get_rng_state": lambda *_: torch.get_rng_state(),
        "set_rng_state": lambda state, *_: torch.set_rng_state(state),
        "Stream": Stream,
        "current_stream": lambda *_: Stream(),
        "stream": lambda _: contextlib.nullcontext(),
        "CUDAGraph": Graph,
        "graph": lambda graph, **_: graph.tape.recording(),
        "pretend": fail,
    }
    for name, replacement in replaced.items():
        setattr(cuda, name, replacement)
    for name in ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check"):  # by torch's version
        if hasattr(torch.optim.Optimizer, name):
            setattr(torch.optim.Optimizer, name, require_alive)
    OnTheCpu().__enter__()


if cores := os.environ.get("BENCH_PRETEND_CORES"):
    os.cpu_count = lambda: int(cores)
    os.sched_getaffinity = lambda _: set(range(int(cores)))
if gpus_in_sight():
    sys.meta_path.insert(0, Finder())

"""What is known of devices: which GPUs there are, what it means when one fails, and what is set for exactness."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench import device
from bench.device import Card, failure

Driver = Callable[[dict[str, str]], None]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """What the driver's own program answers, by a word that it is asked with."""
    answers: dict[str, str] = {}
    monkeypatch.setattr(
        device, "ask_driver", lambda *words: next((a for word, a in answers.items() if word in " ".join(words)), "")
    )
    return answers.update


@pytest.fixture
def torch_sees(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def sees(count: int, visible: str | None = None) -> None:
        monkeypatch.setattr(device, "_has_driver", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return sees


# ---------------------------------------------------------------------------------------------------------------------
# Which there are


def test_a_batch_systems_choice_of_gpus_is_kept(torch_sees: Callable[..., None], driver: Driver) -> None:
    torch_sees(2, "GPU-7f, 3")
    assert device.gpus() == ["GPU-7f", "3"]
    torch_sees(2)
    assert device.gpus() == ["0", "1"]
    torch_sees(0, "")
    assert device.gpus() == []


@pytest.mark.parametrize(("driver_there", "visible"), [(False, None), (True, ""), (False, " ")])
def test_torch_is_not_even_imported_where_no_gpu_can_be(
    monkeypatch: pytest.MonkeyPatch, torch_sees: Callable[..., None], driver_there: bool, visible: str | None
) -> None:
    torch_sees(1, visible)
    monkeypatch.setattr(device, "_has_driver", lambda: driver_there)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert device.gpus() == []


def test_every_part_of_a_gpu_is_one_although_a_process_sees_but_one(
    torch_sees: Callable[..., None], driver: Driver
) -> None:
    torch_sees(1, "MIG-a,MIG-b")
    assert device.gpus() == ["MIG-a", "MIG-b"]
    torch_sees(1)
    driver({"-L": "GPU 0: H100 (UUID: GPU-1)\n  MIG 1g.10gb Device 0: (UUID: MIG-x)\n  MIG 1g Device 1: (UUID: MIG-y)"})
    assert device.gpus() == ["MIG-x", "MIG-y"]


def test_whole_gpus_are_asked_at_once_and_parts_each_by_itself(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> None:
    asked: list[list[str]] = []
    real = device._start_probe

    def started(group: Any) -> Any:
        asked.append(list(group))
        return real(group)

    monkeypatch.setattr(device, "_start_probe", started)
    monkeypatch.setattr(
        device,
        "_PROBE",
        "import json, os\n"
        "names = os.environ['CUDA_VISIBLE_DEVICES'].split(',')\n"
        "print(json.dumps([{'name': n, 'free': 5, 'total': 9, 'uuid': n} for n in names]))",
    )
    driver({"compute_mode": "0, GPU-zero, Default\n1, GPU-one, Exclusive_Process\n"})
    monkeypatch.setattr(device, "mps_runs", lambda: False)
    found = device.cards(["zero", "MIG-a", "one", "MIG-b"])
    assert asked == [["zero", "one"], ["MIG-a"], ["MIG-b"]]
    assert found == [
        Card("zero", "zero", 5, 9),
        Card("MIG-a", "MIG-a", 5, 9),
        Card("one", "one", 5, 9, exclusive=True),
        Card("MIG-b", "MIG-b", 5, 9),
    ]
    monkeypatch.setattr(device, "mps_runs", lambda: True)
    assert not any(card.exclusive for card in device.cards(["one"])), "MPS is the one process"


@pytest.mark.parametrize(
    ("probe", "problem"),
    [
        ("import time; time.sleep(60)", "no answer within 0.5 s"),
        ("raise SystemExit('no driver')", "no driver"),
        ("print('not JSON')", "an answer that cannot be read"),
        ("print('[]')", "it cannot be seen any more"),
        ('print(\'[{"problem": "busy"}]\')', "busy"),
    ],
)
def test_a_gpu_that_does_not_answer_has_a_problem(
    monkeypatch: pytest.MonkeyPatch, driver: Driver, probe: str, problem: str
) -> None:
    monkeypatch.setattr(device, "_PROBE", probe)
    monkeypatch.setattr(device, "ANSWER_SECONDS", 0.5 if "sleep" in probe else 60)
    (card,) = device.cards(["0"])
    assert card.problem.startswith(problem)


def test_a_driver_without_its_own_program_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> Any:
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(subprocess, "run", missing)
    device.ask_driver.cache_clear()
    assert device.ask_driver("-L") == ""
    device.ask_driver.cache_clear()


def test_cores_are_those_that_the_container_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert device.cores() == 1


# ---------------------------------------------------------------------------------------------------------------------
# What failed


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (MemoryError(), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "memory"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), "memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), "memory"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "memory"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), "memory"),
        (RuntimeError("CUDA error: device-side assert triggered"), "device"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "device"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "device"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling"), "device"),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), "device"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (ValueError("CUDA error: in somebody's own words"), None),
        (KeyError("x"), None),
    ],
)
def test_what_an_exception_means_for_the_process(error: Exception, meaning: str | None) -> None:
    assert failure(error) == meaning
    try:
        try:
            raise error
        except Exception as cause:
            raise LookupError("the plugin's own words") from cause
    except LookupError as wrapped:
        assert failure(wrapped) == meaning, "also where another has come of it"


# ---------------------------------------------------------------------------------------------------------------------
# How exactly


def test_fp32_is_fp32_and_tf32_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.are_deterministic_algorithms_enabled()
    try:
        device.set_precision("cuda:0", "fp32")
        assert device._products() == "ieee"
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic
        device.set_precision("cuda:0", "tf32")
        assert device._products() == "tf32"
        device.set_precision("cuda:0", "bf16")
        assert device._products() == "ieee"
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.deterministic = False


def test_a_record_keeps_what_decides_the_last_bits(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> None:
    properties = SimpleNamespace(name="a GPU", total_memory=9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91000)
    driver({"driver_version": "580.1\n580.1\n"})
    device._driver_version.cache_clear()
    facts = device.facts("cuda:0")
    device._driver_version.cache_clear()
    assert (facts["gpu"], facts["cudnn"], facts["driver"]) == ("a GPU", 91000, "580.1")
    assert facts.keys() >= {"cuda", "products", "deterministic", "cublas_workspace", "mps", "gpu_memory_bytes"}
    assert device.facts("cpu") == {}

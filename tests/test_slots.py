"""Slots on declared devices: how many, on which GPU, and how jobs share the memory of one."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from cli import PLUGINS, eventually
from hypothesis import given
from hypothesis import strategies as st
from records import make_job

from bench.errors import BenchError
from bench.execution import slots
from bench.execution.estimates import GpuNeeds
from bench.execution.executor import open_executor
from bench.execution.local import Local
from bench.execution.messages import Outcome, Task
from bench.execution.slots import CONTEXT_BYTES, Gpu, Interrupted, Slot, find_slots
from bench.jobs import Request, expand
from bench.method import Epoch
from bench.specs import parse_spec
from bench.workspace import open_workspace

NEVER = threading.Event()


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 16 cores with GPUs 2 and 5, as a batch system may hand them out, with 20 and 3 GB free."""
    monkeypatch.setattr(slots, "_gpus", lambda: ["2", "5"])
    monkeypatch.setattr(slots, "cores", lambda: 16)
    monkeypatch.setattr(slots, "_free_bytes", {"2": 20e9, "5": 3e9}.__getitem__)


@pytest.mark.usefixtures("two_gpus")
def test_a_number_of_jobs_per_gpu_is_kept_and_the_gpus_take_turns() -> None:
    found = find_slots("cuda", jobs_per_gpu=3)
    assert [slot.name for slot in found] == ["gpu:2#0", "gpu:5#0", "gpu:2#1", "gpu:5#1", "gpu:2#2", "gpu:5#2"]
    assert {(slot.device, slot.environment["CUDA_VISIBLE_DEVICES"]) for slot in found} == {
        ("cuda:0", "2"),
        ("cuda:0", "5"),
    }
    assert len({id(slot.gpu) for slot in found}) == 2
    assert [slot.name for slot in find_slots("cuda", workers=3, jobs_per_gpu=3)] == ["gpu:2#0", "gpu:5#0", "gpu:2#1"]
    assert [slot.name for slot in find_slots("cuda:1", jobs_per_gpu=1)] == ["gpu:5#0"]


@pytest.mark.usefixtures("two_gpus")
def test_auto_opens_slots_by_cores_and_free_memory() -> None:
    found = find_slots("auto")
    counts = {identity: sum(slot.name.startswith(f"gpu:{identity}#") for slot in found) for identity in "25"}
    assert counts == {"2": 8, "5": 1}
    capacities = {slot.gpu.identity: slot.gpu.capacity for slot in found if slot.gpu is not None}
    assert capacities == {"2": 20e9 - 8 * CONTEXT_BYTES, "5": 3e9 - CONTEXT_BYTES}


def test_what_is_no_number_of_jobs_or_no_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_gpus", list)
    with pytest.raises(BenchError, match="--jobs-per-gpu must be auto or at least 1, not 0"):
        find_slots("cuda", jobs_per_gpu=0)
    with pytest.raises(BenchError, match="torch finds no GPU here"):
        find_slots("cuda")
    with pytest.raises(BenchError, match="unknown device 'tpu'"):
        find_slots("tpu")
    with (
        pytest.raises(BenchError, match="--address here goes with --executor ray or dask"),
        open_executor(address="here"),
    ):
        pass


def test_a_batch_systems_choice_of_gpus_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")  # a dependency: it is there
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-7f, 3")
    assert slots._gpus() == ["GPU-7f", "3"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert slots._gpus() == ["0", "1"]


# ---------------------------------------------------------------------------------------------------------------------
# Sharing one GPU


@given(needs=st.lists(st.floats(0.1, 12.0), min_size=1, max_size=12), alone=st.integers(0, 11))
def test_jobs_never_hold_more_than_the_gpu_has_and_each_gets_its_turn(needs: list[float], alone: int) -> None:
    gpu, lock = Gpu("0", capacity=10.0), threading.Lock()
    held: dict[int, float] = {}
    most: list[float] = []

    def job(number: int) -> None:
        with gpu.held(needs[number], NEVER, alone=number == alone):
            with lock:
                held[number] = 10.0 if number == alone else min(needs[number], 10.0)
                most.append(sum(held.values()))
            with lock:
                del held[number]

    threads = [threading.Thread(target=job, args=[number]) for number in range(len(needs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == len(needs)
    assert max(most) <= 10.0 + 1e-9


def test_who_asks_for_much_is_not_overtaken_by_those_who_ask_for_little() -> None:
    gpu, order = Gpu("0", capacity=10.0), []

    def ask(name: str, need: float) -> threading.Thread:
        def wait() -> None:
            with gpu.held(need, NEVER):
                order.append(name)

        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    with gpu.held(4.0, NEVER):
        large = ask("large", 10.0)
        eventually(lambda: len(gpu._queue) == 1, 10)
        small = ask("small", 1.0)
        eventually(lambda: len(gpu._queue) == 2, 10)
        assert order == []
    large.join(10)
    small.join(10)
    assert order == ["large", "small"]


def test_a_stopped_run_waits_for_no_gpu() -> None:
    gpu, stop = Gpu("0", capacity=1.0), threading.Event()
    stop.set()
    with gpu.held(1.0, NEVER), pytest.raises(Interrupted), gpu.held(1.0, stop):
        pass
    with gpu.held(1.0, NEVER):  # and leaves nothing behind
        pass


def test_what_a_job_needs_comes_from_the_largest_record_like_it() -> None:
    from test_estimates import took

    def measured(peak: float, **job: Any) -> Any:
        record = took(1.0, device="cuda:0", **job)
        record.cost["peak_memory_bytes"] = peak
        return record

    needs = GpuNeeds([measured(1e9, seed=0), measured(2e9, seed=1), measured(5e9, spec="mean(width=64)")])
    job = make_job(dataset="animals", method="mean", normal_class="bee")
    assert needs.bytes(job) == pytest.approx(2e9 * 1.3)
    assert needs.bytes(make_job(dataset="animals", method="mean", spec="mean(width=32)")) == pytest.approx(5e9 * 1.3)
    assert needs.bytes(make_job(dataset="animals", method="other", spec="other")) is None


# ---------------------------------------------------------------------------------------------------------------------
# Real workers in slots that share a declared GPU


class Told:
    """Keeps what an executor tells."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.attempts: dict[str, list[dict[str, Any]]] = {}
        self.outcomes: dict[str, Outcome] = {}

    def admit(self, task: Task) -> bool:
        return True

    def gpu_memory(self, task: Task) -> float:
        return 1.0

    def started(self, slot: str, task: Task) -> None:
        self.events.append(("started", task.job.key))

    def epoch(self, task: Task, epoch: Epoch) -> None:
        pass

    def ended(self, task: Task, outcome: Outcome, attempts: list[dict[str, Any]]) -> None:
        self.events.append(("ended", task.job.key))
        self.outcomes[task.job.key] = outcome
        self.attempts[task.job.key] = attempts


def test_what_ran_out_of_memory_is_repeated_with_the_gpu_to_itself(tmp_path: Path, digits_data: Path) -> None:
    config = tmp_path / "bench.toml"
    config.write_text(f"[plugins]\nmethods = [{str(PLUGINS)!r}]\n")
    workspace = open_workspace(config, digits_data, tmp_path)
    request = Request(
        dataset="digits", methods="misbehaves(how='eats_memory'),gated(pause=0.2)", classes="0,1,2", profile="cpu"
    )
    jobs = sorted(expand(request, workspace), key=lambda job: job.method, reverse=True)
    folder = workspace.dataset(parse_spec("digits")).folder
    tasks = [Task(job, folder, workspace.config.plugins.methods, timeout=120) for job in jobs]
    # declared: three jobs at a time share it; the workers compute on the CPU
    shared = Gpu("0", capacity=3.0)
    places = [Slot(f"gpu:0#{n}", "cpu", {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}, shared) for n in range(3)]
    told = Told()

    Local(places).execute(tasks, threading.Event(), told)

    greedy = {job.key for job in jobs if job.method == "misbehaves"}
    assert {key: outcome.status for key, outcome in told.outcomes.items()} == {
        job.key: "oom" if job.key in greedy else "done" for job in jobs
    }
    assert all([a["status"] for a in told.attempts[key]] == (["oom"] if key in greedy else []) for key in told.attempts)
    running: set[str] = set()
    starts: dict[str, int] = dict.fromkeys(greedy, 0)
    for event, key in told.events:
        if event == "ended":
            running.discard(key)
            continue
        if key in greedy:
            starts[key] += 1
            if starts[key] == 2:
                assert not running - greedy - {key}
        else:
            running.add(key)
    assert set(starts.values()) == {2}

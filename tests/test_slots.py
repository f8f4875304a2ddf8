"""Slots on declared devices: how many, on which GPU, and how jobs share the memory of one."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cli import PLUGINS, eventually
from hypothesis import given, settings
from hypothesis import strategies as st
from records import make_job

from bench.device import Card
from bench.errors import BenchError
from bench.execution import slots
from bench.execution.estimates import GpuNeeds, gpu_growth
from bench.execution.executor import Admission
from bench.execution.local import Local
from bench.execution.messages import Outcome, Task
from bench.execution.opening import open_executor
from bench.execution.slots import CONTEXT_BYTES, Gpu, Interrupted, Slot, find_slots
from bench.jobs import Request, expand
from bench.method import Epoch
from bench.specs import parse_spec
from bench.workspace import open_workspace

GB = 10**9
NEVER, NOW = threading.Event(), threading.Event()
NOW.set()


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 16 cores with GPUs 2 and 5, as a batch system may hand them out, with 20 and 3 GB free."""
    with_cards(monkeypatch, Card("2", "a GPU", 20 * GB, 24 * GB), Card("5", "a GPU", 3 * GB, 24 * GB))


def with_cards(monkeypatch: pytest.MonkeyPatch, *there: Card) -> None:
    """A machine of 16 cores with these GPUs."""
    by_name = {card.identity: card for card in there}
    monkeypatch.setattr(slots, "gpus", lambda: list(by_name))
    monkeypatch.setattr(slots, "cores", lambda: 16)
    monkeypatch.setattr(slots, "cards", lambda identities: [by_name[identity] for identity in identities])


def on_gpus(found: Sequence[Slot]) -> list[str]:
    return [slot.name for slot in found if slot.kind == "cuda"]


@pytest.mark.usefixtures("two_gpus")
def test_a_number_of_jobs_per_gpu_is_kept_and_the_gpus_take_turns() -> None:
    found = [slot for slot in find_slots("cuda", jobs_per_gpu=3) if slot.kind == "cuda"]
    assert [slot.name for slot in found] == ["gpu:2#0", "gpu:5#0", "gpu:2#1", "gpu:5#1", "gpu:2#2", "gpu:5#2"]
    assert {(slot.device, slot.environment["CUDA_VISIBLE_DEVICES"]) for slot in found} == {
        ("cuda:0", "2"),
        ("cuda:0", "5"),
    }
    assert len({id(slot.gpu) for slot in found}) == 2
    assert [slot.name for slot in find_slots("cuda", workers=3, jobs_per_gpu=3)] == ["gpu:2#0", "gpu:5#0", "gpu:2#1"]
    assert on_gpus(find_slots("cuda:1", jobs_per_gpu=1)) == ["gpu:5#0"]


@pytest.mark.usefixtures("two_gpus")
def test_auto_opens_slots_by_cores_and_free_memory() -> None:
    found = find_slots("auto")
    counts = {identity: sum(slot.name.startswith(f"gpu:{identity}#") for slot in found) for identity in "25"}
    assert counts == {"2": 8, "5": 1}
    capacities = {slot.gpu.identity: slot.gpu.capacity for slot in found if slot.gpu is not None}
    assert capacities == {"2": 20 * GB - 8 * CONTEXT_BYTES, "5": 3 * GB - CONTEXT_BYTES}


@pytest.mark.usefixtures("two_gpus")
def test_cores_that_drive_no_gpu_are_slots_of_their_own() -> None:
    found = find_slots("auto")
    assert [slot.name for slot in found if slot.kind == "cpu"] == [f"cpu:{number}" for number in range(16 - 9)]
    assert len(find_slots("auto", workers=4)) == 4
    assert [slot.kind for slot in find_slots("cuda", jobs_per_gpu=16)].count("cpu") == 1, "there is always one"
    left = found[0].without_gpu()
    assert (left.kind, left.environment["CUDA_VISIBLE_DEVICES"]) == ("cpu", "")


def test_a_full_gpu_has_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    full, free = Card("0", "a GPU", GB // 2, 24 * GB), Card("1", "a GPU", 20 * GB, 24 * GB)
    with_cards(monkeypatch, full, free)
    assert {name.partition("#")[0] for name in on_gpus(find_slots("cuda"))} == {"gpu:1"}
    with_cards(monkeypatch, full)
    with pytest.raises(BenchError, match=r"no GPU has 2 GB free: GPU 0 0.5 of 24.0 GB; wait .* --jobs-per-gpu"):
        find_slots("cuda")
    assert on_gpus(find_slots("cuda", jobs_per_gpu=2)) == ["gpu:0#0", "gpu:0#1"], "who insists may try"


def test_a_gpu_for_one_process_at_a_time_has_one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cards(monkeypatch, Card("0", "a GPU", 20 * GB, 24 * GB, exclusive=True))
    assert on_gpus(find_slots("cuda")) == ["gpu:0#0"]
    with pytest.raises(BenchError, match=r"GPU 0 takes one process at a time .*EXCLUSIVE_PROCESS.* MPS"):
        find_slots("cuda", jobs_per_gpu=2)


def test_a_gpu_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cards(monkeypatch, Card("0", "a GPU", 20 * GB, 24 * GB), Card("1", problem="no answer within 120 s"))
    with pytest.raises(BenchError, match="GPU 1 does not answer: no answer within 120 s\nleave it out"):
        find_slots("cuda")


def test_what_is_no_number_of_jobs_or_no_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "gpus", list)
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


# ---------------------------------------------------------------------------------------------------------------------
# Sharing one GPU


@settings(max_examples=2000, deadline=None)
@given(seed=st.integers(0, 2**32), capacity=st.integers(1, 80 * GB), slots=st.integers(1, 16))
def test_no_history_of_jobs_leaves_the_gpu_smaller(seed: int, capacity: int, slots: int) -> None:
    """Whatever jobs of whatever sizes came and went: then there is room for one that wants all of it."""
    random, gpu = Random(seed), Gpu("0", capacity=capacity, slots=slots)
    inside: list[contextlib.ExitStack] = []
    for _ in range(200):
        need = random.choice([None, math.inf, random.uniform(0, 2 * capacity), random.uniform(0, capacity / 16)])
        with contextlib.ExitStack() as job:
            try:
                job.enter_context(gpu.held(lambda need=need: need, NOW))  # type: ignore[misc]
            except Interrupted:  # it would have to wait for one of those inside
                inside.pop(random.randrange(len(inside))).close()
            else:
                inside.append(job.pop_all())
    for each in inside:
        each.close()
    with gpu.held(lambda: math.inf, NOW) as hold:
        assert hold.bytes == capacity


@settings(max_examples=50, deadline=None)
@given(needs=st.lists(st.floats(0.1, 12.0), min_size=1, max_size=12), alone=st.integers(0, 11))
def test_jobs_never_hold_more_than_the_gpu_has_and_each_gets_its_turn(needs: list[float], alone: int) -> None:
    gpu, lock = Gpu("0", capacity=10), threading.Lock()
    held: dict[int, int] = {}
    most: list[int] = []

    def job(number: int) -> None:
        with gpu.held(lambda: needs[number], NEVER, alone=number == alone) as hold:
            with lock:
                held[number] = hold.bytes
                most.append(sum(held.values()))
            with lock:
                del held[number]

    threads = [threading.Thread(target=job, args=[number]) for number in range(len(needs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == len(needs)
    assert max(most) <= 10


def test_a_job_that_waits_is_asked_anew_what_it_needs() -> None:
    gpu, known, entered = Gpu("0", capacity=10), [math.inf], threading.Event()

    def wait() -> None:
        with gpu.held(lambda: known[-1], NEVER):
            entered.set()

    with gpu.held(lambda: 4.0, NEVER):
        thread = threading.Thread(target=wait)
        thread.start()
        eventually(lambda: len(gpu._queue) == 1, 10)
        known.append(5.0)  # a record came in
        assert entered.wait(10)
    thread.join(10)


def test_jobs_of_which_nothing_is_known_share_equally() -> None:
    gpu = Gpu("0", capacity=80 * GB, slots=16)
    with contextlib.ExitStack() as jobs:
        holds = [jobs.enter_context(gpu.held(lambda: None, NOW)) for _ in range(16)]
        assert {hold.bytes for hold in holds} == {5 * GB}
    assert [hold.most for hold in holds] == [16] * 16, "and each knows with how many others"


def test_who_asks_for_much_is_not_overtaken_by_those_who_ask_for_little() -> None:
    gpu, order = Gpu("0", capacity=10), []

    def ask(name: str, need: float) -> threading.Thread:
        def wait() -> None:
            with gpu.held(lambda: need, NEVER):
                order.append(name)

        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    with gpu.held(lambda: 4.0, NEVER):
        large = ask("large", 10.0)
        eventually(lambda: len(gpu._queue) == 1, 10)
        small = ask("small", 1.0)
        eventually(lambda: len(gpu._queue) == 2, 10)
        assert order == []
    large.join(10)
    small.join(10)
    assert order == ["large", "small"]


def test_a_stopped_run_waits_for_no_gpu() -> None:
    gpu = Gpu("0", capacity=1)
    with gpu.held(lambda: 1.0, NEVER), pytest.raises(Interrupted), gpu.held(lambda: 1.0, NOW):
        pass
    with gpu.held(lambda: 1.0, NEVER):  # and leaves nothing behind
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
    reserved = measured(2e9)
    reserved.cost["reserved_memory_bytes"] = 3e9
    assert GpuNeeds([reserved]).bytes(job) == pytest.approx(3e9 * 1.1), "what torch had reserved tells more"


def test_what_a_method_declares_grows_with_its_batches_and_networks() -> None:
    methods = open_workspace().methods

    def growth(text: str) -> float:
        return gpu_growth(parse_spec(text), methods)

    assert growth("shared_ae") == growth("ocsvm") == 1
    assert growth("shared_ae(width=128,batch_size=32)") == 1
    assert growth("shared_ae(image_size=64)") == 4
    assert growth("shared_ae(width=1)") == 0.25


# ---------------------------------------------------------------------------------------------------------------------
# Real workers in slots that share a declared GPU


class Told:
    """Keeps what an executor tells."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.attempts: dict[str, list[dict[str, Any]]] = {}
        self.outcomes: dict[str, Outcome] = {}

    def admit(self, task: Task) -> Admission:
        return "now"

    def gpu_memory(self, task: Task) -> float | None:
        return 1.0

    def started(self, slot: str, task: Task) -> None:
        self.events.append(("started", task.job.key))

    def epoch(self, task: Task, epoch: Epoch) -> None:
        pass

    def ended(self, task: Task, outcome: Outcome, attempts: list[dict[str, Any]]) -> None:
        self.events.append(("ended", task.job.key))
        self.outcomes[task.job.key] = outcome
        self.attempts[task.job.key] = attempts


@pytest.mark.slow
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
    shared = Gpu("0", capacity=3)
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

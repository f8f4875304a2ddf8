"""Runs on a pretend GPU: real commands and real workers, whose GPU computes on the CPU and fails when it is told to."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli import PLUGINS, TINY_AE, Bench, Gate, eventually
from gpus import pretending

pytestmark = pytest.mark.slow

ENDINGS = {
    "asserts": ("failed", "AcceleratorError: CUDA error: device-side assert triggered"),
    "out_of_memory": ("oom", "OutOfMemoryError: CUDA out of memory"),
    "cublas": ("oom", "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED"),
    "wrapped": ("failed", "ValueError: the plugin's own words"),
    "hangs": ("timeout", "took longer than 20 s"),
    "dies": ("killed", "the worker process was killed by SIGKILL"),
    "fails_late": ("done", ""),
    "nothing": ("done", ""),
}
"""How a job ends that something goes wrong in, and the reason in its record."""


@pytest.fixture
def on_gpu(tmp_path: Path, digits_data: Path) -> Bench:
    return Bench(tmp_path / "work", digits_data, [PLUGINS], pretending())


def on_digits(bench: Bench, methods: str, classes: str, *options: str) -> list[str]:
    return ["run", "--dataset", "digits", "--profile", "cpu", "--methods", methods, "--classes", classes, *options]


def test_every_fault_of_a_gpu_becomes_its_jobs_record_and_the_next_job_is_well(on_gpu: Bench) -> None:
    faults = ",".join(f"gpu_fault(how={how!r})" for how in ENDINGS)
    ended = on_gpu(*on_digits(on_gpu, f"{faults},{TINY_AE}", "0", "--device", "cuda", "--jobs-per-gpu", "2"))
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    on_gpu.all_gone()
    assert len(on_gpu.records()) == len(ENDINGS) + 1
    assert on_gpu.record(TINY_AE).status == "done"
    for how, (status, reason) in ENDINGS.items():
        record = on_gpu.record(f"gpu_fault(how={how!r})")
        assert (record.status, record.reason[: len(reason)]) == (status, reason)
        # once more, alone on the GPU: it may have been a neighbour's fault
        repeated = how in ("asserts", "out_of_memory", "cublas", "wrapped", "dies")
        assert [attempt["status"] for attempt in record.attempts] == ([status] if repeated else [])


def test_jobs_that_nobody_has_seen_yet_fill_every_slot_of_a_gpu(tmp_path: Path, digits_data: Path) -> None:
    gate = Gate(tmp_path / "gate")
    sixteen = pretending() | {"BENCH_PRETEND_CORES": "16"}
    bench = Bench(tmp_path / "work", digits_data, [PLUGINS], {**sixteen, **gate.environment})
    options = ["--seeds", "2", "--device", "cuda", "--jobs-per-gpu", "16", "--json"]
    run = bench.start(*on_digits(bench, "gated(epochs=1)", "0,1,2,3,4,5,6,7,8,9", *options))
    run.until(lambda: len(gate.waiting()) == 16)
    gate.open()
    assert run.ended() == 0, run.stderr
    assert len(bench.records()) == 20


def test_what_comes_after_a_fault_gets_a_process_of_its_own(on_gpu: Bench) -> None:
    """One slot: whatever the faulty job left is gone when the next begins."""
    methods = f"gpu_fault(how='asserts'),gpu_fault(how='fails_late'),{TINY_AE}"
    ended = on_gpu(*on_digits(on_gpu, methods, "0", "--device", "cuda", "--workers", "1"))
    assert ended.returncode == 1, ended.stderr
    assert {record.job.label: record.status for record in on_gpu.records()} == {
        "gpu_fault(how='asserts')": "failed",
        "gpu_fault(how='fails_late')": "done",
        TINY_AE: "done",
    }


def test_a_job_on_a_gpu_says_where_and_how_it_was_computed(on_gpu: Bench, digits_data: Path, tmp_path: Path) -> None:
    ended = on_gpu(*on_digits(on_gpu, f"{TINY_AE},ocsvm", "0"))
    assert ended.returncode == 0, ended.stderr
    trained, kernel = on_gpu.record(TINY_AE), on_gpu.record("ocsvm")
    where = {"device": "cuda:0", "gpu": "Pretend GPU", "products": "ieee", "deterministic": True, "cuda_graph": True}
    assert {name: trained.provenance[name] for name in where} == where
    assert trained.provenance["cublas_workspace"] == ":4096:8"
    assert trained.provenance["gpu_jobs"] == 1
    assert trained.cost["reserved_memory_bytes"] > trained.cost["peak_memory_bytes"] > 0
    assert kernel.provenance["device"] == "cpu"
    assert kernel.provenance["slot"].startswith("cpu")

    plain = Bench(tmp_path / "plain", digits_data, [PLUGINS])
    assert plain(*on_digits(plain, f"{TINY_AE},ocsvm", "0")).returncode == 0
    assert plain.scores() == on_gpu.scores(), "the same batches, the same weights, and a graph changes nothing"

    again = on_gpu("reproduce", trained.job.key[:12])
    assert again.returncode == 0, again.stderr
    assert "every score, bit for bit" in again.stdout
    assert "other than then" not in again.stdout, "it is done where the record was"


def test_jobs_of_which_nothing_is_known_share_the_gpu_from_the_start(tmp_path: Path, digits_data: Path) -> None:
    gate = Gate(tmp_path / "gate")
    environment = pretending(BENCH_PRETEND_CORES="4", BENCH_PRETEND_GB="80", **gate.environment)
    bench = Bench(tmp_path / "work", digits_data, [PLUGINS], environment)
    run = bench.start("run", "--dataset", "digits", "--methods", "gated", "--profile", "cpu", "--device", "cuda")
    eventually(lambda: len(gate.waiting()) == 4, what="four jobs at a time")
    gate.open()
    assert run.ended() == 0, run.stderr
    jobs = [record.provenance["gpu_jobs"] for record in bench.records()]
    assert len(jobs) == 10
    assert max(jobs) == 4


def test_precision_that_only_gpus_have_is_refused_without_one(bench: Bench, on_gpu: Bench) -> None:
    ended = bench("run", "--dataset", "digits", "--methods", "ocsvm", "--precision", "tf32", "--device", "cpu")
    assert ended.returncode == 2
    assert "--precision tf32 is a way in which GPUs compute, and there is none; use fp32 or bf16" in ended.stderr
    rounded = on_gpu(*on_digits(on_gpu, TINY_AE, "0", "--precision", "tf32"))
    assert rounded.returncode == 0, rounded.stderr
    assert on_gpu.record(TINY_AE).provenance["products"] == "tf32"

"""``bench run`` on real Ray and Dask clusters: the same scores as on one machine, and what a lost node costs."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli import CLASSES, GATED, METHODS, PLUGINS, Bench, Gate, Started, python_prints
from clusters import NODES, Cluster, DaskCluster, RayCluster, started
from gpus import pretending

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[RayCluster, DaskCluster], ids=["ray", "dask"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, digits_data: Path
) -> Iterator[tuple[Cluster, Gate, Bench]]:
    """A cluster, the gate that its jobs pass, and a command line whose mark all its processes carry."""
    folder = tmp_path_factory.mktemp("cluster")
    gate = Gate(folder / "gate")
    bench = Bench(folder, digits_data, [PLUGINS], gate.environment)
    with started(request.param, folder, bench.variables()) as cluster:
        bench.environment |= cluster.environment
        yield cluster, gate, bench
    bench.all_gone(60)


@pytest.fixture
def cluster(site: tuple[Cluster, Gate, Bench]) -> Iterator[Cluster]:
    cluster = site[0]
    yield cluster
    while len(cluster.nodes) < NODES:
        cluster.add_node()


@pytest.fixture
def gate(site: tuple[Cluster, Gate, Bench]) -> Gate:
    gate = site[1]
    gate.close()
    return gate


@pytest.fixture
def bench(site: tuple[Cluster, Gate, Bench], tmp_path: Path) -> Iterator[Bench]:
    bench = site[2].elsewhere(tmp_path / "work")
    yield bench
    bench.kill_runs()
    bench.no_workers(60)


def gated_run(bench: Bench, cluster: Cluster, gate: Gate, *options: str) -> Started:
    """A run of six jobs, when the first two are at the gate and nothing else is done."""
    run = bench.start_digits(GATED, "0,1,2,3,4,5", *cluster.options(), *options)
    run.until(lambda: len(gate.waiting()) == NODES)
    return run


def test_a_cluster_gives_the_scores_of_one_machine_bit_for_bit(
    bench: Bench, cluster: Cluster, gate: Gate, undisturbed: Bench
) -> None:
    gate.open()
    ended = bench("run", "--suite", "quickstart", "--methods", METHODS, *cluster.options())
    assert ended.returncode == 0, ended.stderr
    assert "30 jobs, 0 recorded, 30 to run on 2 slots (cpu) of " in ended.stderr
    first_seed = {record.job.key for record in undisturbed.records() if record.job.seed == 0}
    assert bench.scores() == {key: scores for key, scores in undisturbed.scores().items() if key in first_seed}
    assert len({record.provenance["slot"] for record in bench.records()}) == NODES


def test_a_killed_worker_and_a_killed_node_cost_the_jobs_that_they_ran_alone(
    bench: Bench, cluster: Cluster, gate: Gate, undisturbed: Bench
) -> None:
    gate.open()
    assert bench.digits("ocsvm", CLASSES, *cluster.options()).returncode == 0
    finished = bench.files()
    gate.close()
    run = gated_run(bench, cluster, gate, "--json")
    bench.processes(worker=True)[0].kill()
    run.until(lambda: len(gate.waiting()) == NODES + 1)
    cluster.kill_a_node()
    gate.open()
    assert run.ended() == 0, run.stderr
    assert [json.loads(line)["event"] for line in run.stdout.splitlines()].count("ended") == 6
    assert len(bench.records()) == 16
    assert {record.status for record in bench.records()} == {"done"}
    assert bench.scores().items() <= undisturbed.scores().items()
    assert finished.items() <= bench.files().items()
    starts = [event["key"] for event in bench.events() if event["event"] == "started" and GATED in event["job"]]
    assert (len(set(starts)), len(starts)) == (6, 8)
    attempts = [attempt["message"] for record in bench.records() for attempt in record.attempts]
    assert sum("SIGKILL" in message for message in attempts) == 1


def test_a_stopped_driver_leaves_no_job_running_and_the_same_command_goes_on(
    bench: Bench, cluster: Cluster, gate: Gate, undisturbed: Bench
) -> None:
    run = gated_run(bench, cluster, gate)
    run.kill()
    bench.no_workers(60)

    gate.close()
    run = gated_run(bench, cluster, gate)
    run.driver.send_signal(signal.SIGINT)
    assert run.ended() == 130, run.stderr
    bench.no_workers(30)
    assert bench.records() == []
    assert "stopped: 6 jobs are left; the same command goes on with them" in run.stderr
    assert "Traceback" not in run.stderr

    gate.open()
    ended = bench.digits(GATED, "0,1,2,3,4,5", *cluster.options())
    assert ended.returncode == 0, ended.stderr
    assert len(bench.records()) == 6
    assert bench.scores().items() <= undisturbed.scores().items()


def test_ray_hands_out_shares_of_its_gpus(tmp_path: Path, digits_data: Path) -> None:
    """With a pretend GPU; what needs none goes to the cores beside it."""
    bench = Bench(tmp_path, digits_data, [PLUGINS], pretending())
    with started(RayCluster, tmp_path, bench.variables(), nodes=0) as cluster:
        cluster.add_node("--num-cpus=1", "--num-gpus=1")
        bench.environment |= cluster.environment
        places = ["--jobs-per-gpu", "2", "--device", "cuda"]
        ended = bench("run", "--dataset", "digits", "--methods", "gated,mean_image", "--classes", "0,1,2",
                      *places, *cluster.options())  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "6 to run on 3 slots (cuda) of Ray at" in ended.stderr
    slots = {record.job.method: record.provenance["slot"].partition("@")[0] for record in bench.records()}
    assert slots == {"gated": "gpu:0", "mean_image": "cpu"}
    bench.all_gone(60)


def test_ray_starts_no_cluster_that_others_can_use(tmp_path: Path, digits_data: Path) -> None:
    """Without an address it starts one of this machine alone, which wants a token."""
    program = """
import os
from bench.execution.on_ray import connected

with connected(None, "cpu", "auto") as engine:
    print(os.environ["RAY_AUTH_MODE"], len(os.environ["RAY_AUTH_TOKEN"]) >= 32, engine.room()["cpu"] > 0)
"""
    assert "token True True" in python_prints("-c", program, folder=tmp_path, RAY_ADDRESS="")
    too_late = "import ray\nfrom bench.execution.on_ray import connected\nconnected(None, 'cpu', 'auto').__enter__()"
    with pytest.raises(AssertionError, match="export RAY_AUTH_MODE=token"):
        python_prints("-c", too_late, folder=tmp_path, RAY_ADDRESS="")


def test_a_scheduler_that_is_lost_ends_the_run_with_an_error_and_without_a_job(
    tmp_path: Path, digits_data: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    patience = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s"}
    bench = Bench(tmp_path, digits_data, [PLUGINS], {**gate.environment, **patience})
    with started(DaskCluster, tmp_path, bench.variables(), nodes=1) as cluster:
        run = bench.start_digits(GATED, "0,1", *cluster.options())
        run.until(lambda: len(gate.waiting()) == 1)
        cluster.kill_the_scheduler()
        assert run.ended() == 2, run.stderr
        bench.no_workers(60)
    assert "does not answer any more" in run.stderr
    assert "the same command goes on" in run.stderr
    assert "Traceback" not in run.stderr

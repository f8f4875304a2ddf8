"""What a node of a cluster does before it takes a job: other code is refused, its own data is found."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.execution import cluster
from bench.execution.cluster import News, NodeUnfit, release, serve
from bench.execution.messages import Task
from bench.jobs import Request, expand
from bench.specs import parse_spec
from bench.workspace import open_workspace


@pytest.fixture
def task(digits_data: Path, tmp_path: Path) -> Task:
    workspace = open_workspace(None, digits_data, tmp_path)
    (job,) = expand(Request(dataset="digits", methods="mean_image", classes="0", profile="cpu"), workspace)
    return Task(job, workspace.dataset(parse_spec("digits")).folder, [], timeout=300)


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    yield
    release()
    cluster._dataset_folder.cache_clear()


def test_a_node_does_a_task_and_keeps_its_worker_for_the_next(task: Task) -> None:
    news: list[News] = []
    first = serve(task, threading.Event(), news.append)
    second = serve(task, threading.Event(), news.append)
    assert (first.status, second.status) == ("done", "done")
    assert [each.key for each in news] == [task.job.key] * 2
    assert news[0].slot == news[1].slot == first.provenance["slot"]
    assert first.arrays is not None and second.arrays is not None
    assert (first.arrays["scores"] == second.arrays["scores"]).all()


def test_a_node_with_other_code_refuses(task: Task) -> None:
    other = dataclasses.replace(task, job=dataclasses.replace(task.job, fingerprint="0" * 64))
    with pytest.raises(NodeUnfit, match="has other code of mean_image than the machine that started the run"):
        serve(other, threading.Event(), lambda news: None)
    unknown = dataclasses.replace(task, job=dataclasses.replace(task.job, method="mean_imago"))
    with pytest.raises(NodeUnfit, match="cannot run mean_image on digits"):
        serve(unknown, threading.Event(), lambda news: None)


def test_a_node_without_the_drivers_folder_uses_its_own_data(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "own"))
    elsewhere = dataclasses.replace(task, dataset_folder=Path("/nowhere/digits"))
    here = cluster._at_home(elsewhere)
    assert here.dataset_folder.is_relative_to(tmp_path / "own")
    assert serve(elsewhere, threading.Event(), lambda news: None).status == "done"
    absent = dataclasses.replace(elsewhere, job=dataclasses.replace(task.job, dataset="mnist"))
    with pytest.raises(NodeUnfit, match="cannot run mean_image on mnist"):
        cluster._at_home(absent)


# ---------------------------------------------------------------------------------------------------------------------
# Which GPU of a node


@pytest.fixture
def gpus_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """The GPUs that a process of the cluster uses on a node with those found by torch."""

    def found(*there: str, given: str | None) -> list[str]:
        monkeypatch.setattr(cluster, "gpus", lambda: list(there))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if given is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        cluster._gpus_of_node.cache_clear()
        return cluster._gpus_of_node()

    yield found
    cluster._gpus_of_node.cache_clear()


def test_a_node_uses_the_gpus_that_it_was_given_or_the_only_one(gpus_of: Callable[..., list[str]]) -> None:
    assert gpus_of("3", given="3") == ["3"]
    assert gpus_of("0", given=None) == ["0"]
    assert gpus_of("2", "3", given="2,3") == ["2", "3"]


def test_a_node_that_was_given_none_of_several_gpus_is_refused(gpus_of: Callable[..., list[str]]) -> None:
    with pytest.raises(NodeUnfit, match=r"has 2 GPUs, and its worker was given none .* CUDA_VISIBLE_DEVICES=0"):
        gpus_of("0", "1", given=None)
    with pytest.raises(NodeUnfit, match="torch finds none there"):
        gpus_of(given=None)


def test_the_gpu_with_the_least_to_do_is_leased(gpus_of: Callable[..., list[str]]) -> None:
    gpus_of("2", "3", given="2,3")
    pool = cluster._Pool()
    leased = [pool.take("cuda") for _ in range(4)]
    assert [supervisor.slot.environment["CUDA_VISIBLE_DEVICES"] for supervisor in leased] == ["2", "3", "2", "3"]
    pool.give_up(leased[1])
    assert pool.take("cuda").slot.environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert pool.take("cpu").slot.environment["CUDA_VISIBLE_DEVICES"] == ""

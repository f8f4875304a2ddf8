"""Claims, by which runs on one results folder share its jobs: one at a time holds a job, and none for ever."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import make_job

from bench.execution import claims
from bench.execution.claims import STALE_SECONDS, Claim, Claims, Owner
from bench.execution.messages import Task
from bench.execution.waiting import Waiting
from bench.jobs import Job

JOB = make_job()


@pytest.fixture(scope="module")
def dead() -> Owner:
    """A run of this machine whose process has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return dataclasses.replace(Owner.here(), pid=process.pid)


def abroad() -> Owner:
    """A run of another machine, of whose process nothing can be seen here."""
    return dataclasses.replace(Owner.here(), host="elsewhere", pid=1)


def path(results: Path, job: Job = JOB) -> Path:
    return results / "claims" / f"{job.key}.json"


def silent(file: Path) -> None:
    """As if the file had last been renewed longer ago than any owner is silent."""
    long_ago = file.stat().st_mtime - 2 * STALE_SECONDS
    os.utime(file, (long_ago, long_ago))


def standing(results: Path) -> Claim:
    (claim,) = claims.claims(results)
    return claim


# ---------------------------------------------------------------------------------------------------------------------
# One at a time


def test_a_job_is_claimed_by_one_run_until_that_gives_it_up(tmp_path: Path) -> None:
    first, second = Claims(tmp_path), Claims(tmp_path)
    assert first.take(JOB) is None
    held = second.take(JOB)
    assert held is not None
    assert (held.key, held.title) == (JOB.key, JOB.title)
    assert str(held.owner) == f"process {os.getpid()} on {Owner.here().host}"
    assert second.take(make_job(seed=1)) is None, "another job is free"
    second.release(JOB)
    assert second.take(JOB) is not None, "who does not hold a claim cannot give it up"
    first.release(JOB)
    assert second.take(JOB) is None


def test_leaving_gives_up_every_claim_even_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Claims(tmp_path) as run:
        assert [run.take(make_job(seed=seed)) for seed in range(3)] == [None] * 3
        assert len(claims.claims(tmp_path)) == 3
        raise ZeroDivisionError
    assert list((tmp_path / "claims").iterdir()) == []


def test_of_many_that_ask_at_once_one_gets_the_job(tmp_path: Path) -> None:
    runs = [Claims(tmp_path) for _ in range(8)]
    start = Barrier(len(runs))

    def ask(run: Claims) -> list[bool]:
        start.wait()
        return [run.take(make_job(seed=seed)) is None for seed in range(20)]

    with ThreadPoolExecutor(len(runs)) as pool:
        got = list(pool.map(ask, runs))
    assert [sum(each) for each in zip(*got, strict=True)] == [1] * 20


# ---------------------------------------------------------------------------------------------------------------------
# None for ever


def test_the_claim_of_a_process_that_is_gone_is_taken_over_at_once(tmp_path: Path, dead: Owner) -> None:
    assert Claims(tmp_path, dead).take(JOB) is None
    assert standing(tmp_path).dead
    assert Claims(tmp_path).take(JOB) is None
    assert not standing(tmp_path).dead


def test_the_claim_of_a_machine_that_is_silent_for_long_is_taken_over(tmp_path: Path) -> None:
    other, own = Claims(tmp_path, abroad()), Claims(tmp_path)
    assert other.take(JOB) is None
    assert own.take(JOB) is not None
    silent(path(tmp_path))
    other.beat()
    assert own.take(JOB) is not None, "it gave a sign"
    silent(path(tmp_path))
    assert own.take(JOB) is None
    other.beat()
    other.release(JOB)
    assert standing(tmp_path).owner != other, "what was taken over is not the first one's to remove"
    assert own.take(make_job(seed=1)) is None


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"job": 1}', b"\xff", b'{"job": "", "since": "", "owner": {}}'])
def test_a_claim_that_is_not_whole_stands_until_it_is_old(tmp_path: Path, text: bytes) -> None:
    file = path(tmp_path)
    file.parent.mkdir()
    file.write_bytes(text)
    held = Claims(tmp_path).take(JOB)
    assert held is not None
    assert held.owner is None
    silent(file)
    assert Claims(tmp_path).take(JOB) is None


def test_who_comes_too_late_to_remove_a_dead_claim_leaves_the_new_one(tmp_path: Path, dead: Owner) -> None:
    assert Claims(tmp_path, dead).take(JOB) is None
    seen = standing(tmp_path)
    faster = Claims(tmp_path)
    assert faster.take(JOB) is None
    taken = path(tmp_path).read_bytes()
    claims.remove(seen)
    assert path(tmp_path).read_bytes() == taken
    assert [file.name for file in (tmp_path / "claims").iterdir()] == [path(tmp_path).name]


def test_a_lost_claim_loses_nothing(tmp_path: Path) -> None:
    with Claims(tmp_path) as run:
        assert run.take(JOB) is None
        path(tmp_path).unlink()
        run.beat()
        assert Claims(tmp_path).take(JOB) is None
        run.release(JOB)
    assert path(tmp_path).exists(), "the other's"


def test_a_full_disk_refuses_a_claim_and_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    opened = Path.open

    def full(file: Path, mode: str = "r", **options: object) -> object:
        opened(file, mode, **options).close()  # type: ignore[call-overload]
        return Full()

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(Path, "open", full)
        Claims(tmp_path).take(JOB)
    assert claims.claims(tmp_path) == []
    assert Claims(tmp_path).take(JOB) is None


def test_leftovers_are_the_claims_of_the_dead(tmp_path: Path, dead: Owner) -> None:
    assert claims.leftovers(tmp_path) == []
    living = Claims(tmp_path)
    assert living.take(JOB) is None
    assert Claims(tmp_path, dead).take(make_job(seed=1)) is None
    assert claims.leftovers(tmp_path) == [path(tmp_path, make_job(seed=1))]
    aside = tmp_path / "claims" / ".x.tmp"
    aside.touch()
    assert aside not in claims.leftovers(tmp_path)
    silent(aside)
    assert aside in claims.leftovers(tmp_path)


ACTIONS = ("take", "take", "take", "release", "beat", "silence", "die", "lose")
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3), st.integers(0, 2)), min_size=5, max_size=40)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_whatever_runs_do_a_job_has_one_living_owner_at_most_and_is_free_once_that_is_gone(
    tmp_path_factory: pytest.TempPathFactory, dead: Owner, steps: list[tuple[str, int, int]]
) -> None:
    """Runs take, release, renew and die; claims grow old and are lost."""
    folder = tmp_path_factory.mktemp("runs")
    jobs = [make_job(seed=seed) for seed in range(3)]
    runs = [Claims(folder, abroad()) for _ in range(4)]
    owners: dict[int, Claims] = {}
    old: set[int] = set()
    for what, number, key in steps:
        run, file = runs[number], path(folder, jobs[key])
        if what == "take":
            free = key not in owners or key in old
            assert (run.take(jobs[key]) is None) == free
            owners |= {key: run} if free else {}
            old -= {key} if free else set()
        elif what == "release":
            run.release(jobs[key])
            if owners.get(key) is run:
                del owners[key]
                old.discard(key)
        elif what == "beat":
            run.beat()
            old -= {key for key, owner in owners.items() if owner is run}
        elif what == "silence" and key in owners:
            silent(file)
            old.add(key)
        elif what == "die":  # another run takes its place, and knows nothing of its claims
            runs[number] = Claims(folder, abroad())
        elif what == "lose":
            file.unlink(missing_ok=True)
            owners.pop(key, None)
            old.discard(key)
    for key in owners:
        silent(path(folder, jobs[key]))
    assert [Claims(folder).take(job) for job in jobs] == [None] * 3


# ---------------------------------------------------------------------------------------------------------------------
# What waits


def test_what_was_put_back_comes_again_and_until_then_the_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.execution import waiting

    clock = [0.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: clock[0])
    tasks = [Task(make_job(seed=seed), Path(), []) for seed in range(4)]
    line = Waiting(tasks)
    assert line.take() is tasks[0]
    line.put_back(tasks[0])
    assert line.take() is tasks[1]
    clock[0] += waiting.AGAIN_SECONDS
    assert line.take() is tasks[0]
    assert [line.take(), line.take(), line.take()] == [tasks[2], tasks[3], None]
    assert not line
    line.put_back(tasks[2])
    assert line.take() is None
    assert line

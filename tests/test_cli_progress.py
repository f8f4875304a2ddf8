"""What scripts and other terminals see of a run: events, its log, ``bench status --watch``."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from cli import GATED, Bench, Gate, rows


@pytest.fixture
def gate(bench: Bench) -> Gate:
    gate = Gate(bench.folder / "gate")
    bench.environment |= gate.environment
    return gate


@pytest.mark.slow
def test_json_prints_events_alone_and_the_log_keeps_them(bench: Bench) -> None:
    ended = bench.digits(f"{GATED},misbehaves(how='raises')", "0,1", "--json")
    assert ended.returncode == 1
    events: list[dict[str, Any]] = [json.loads(line) for line in ended.stdout.splitlines()]
    assert (events[0]["event"], events[-1]["event"]) == ("run", "finished")
    assert {name: events[0][name] for name in ("title", "jobs", "recorded", "pending")} == {
        "title": "digits", "jobs": 4, "recorded": 0, "pending": 4
    }  # fmt: skip
    assert {name: events[-1][name] for name in ("failed", "missing", "signal")} == {
        "failed": 2, "missing": 0, "signal": None
    }  # fmt: skip
    for kind in ("started", "ended"):
        assert {event["key"] for event in events if event["event"] == kind} == {r.job.key for r in bench.records()}
    figures = {event["key"]: event["auroc"] for event in events if event["event"] == "ended"}
    assert figures == {record.job.key: record.metrics.get("auroc") for record in bench.records()}
    assert any(event["event"] == "epoch" and event["total"] == 3 for event in events)
    shapes = [(event["event"], event.get("key"), event.get("status")) for event in events]
    assert [(event["event"], event.get("key"), event.get("status")) for event in bench.events()] == shapes
    assert "2 of 4 jobs did not end well:" in ended.stderr
    assert "[1/4]" not in ended.stderr


def test_quiet_leaves_the_table_and_nothing_else(bench: Bench) -> None:
    ended = bench.digits("mean_image", "0,1", "--quiet")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [row[0] for row in rows(ended.stdout)] == ["0", "1", "mean"]


@pytest.mark.slow
def test_watch_follows_a_run_to_its_end_and_then_counts_the_records(bench: Bench, gate: Gate) -> None:
    run = bench.start_digits(GATED, "0,1,2")
    run.until(lambda: len(gate.waiting()) == 2)
    watching = subprocess.Popen(
        bench.command("status", "--watch"),
        cwd=bench.folder,
        env=bench.all_variables(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert watching.stdout.readline() == "digits: 0/3 ended, 2 running, 1 waiting\n"
    gate.open()
    assert run.ended() == 0, run.stderr
    rest, _ = watching.communicate(timeout=60)
    assert watching.returncode == 0
    (counted,) = [line for line in rest.splitlines() if "done" in line]
    assert counted.split()[-2:] == ["done", "3"]


def test_a_run_that_was_killed_is_not_watched(bench: Bench, gate: Gate) -> None:
    run = bench.start_digits(GATED, "0")
    run.until(lambda: len(gate.waiting()) == 1)
    run.kill()
    shown = bench("status", "--watch")
    assert shown.returncode == 0
    assert shown.stdout.startswith("no run is going on in results/runs")

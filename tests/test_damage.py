"""Damaged records beside good ones: whatever a file holds, it is read as a record or named as none, and what is read
can be shown."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from cli import Bench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import make_record, put_quickstart

from bench.record import Record
from bench.report.export.frame import frame
from bench.report.page.account import account
from bench.report.selection import select
from bench.report.tables.several import METRICS, metric_tables
from bench.report.tables.table import class_table

DAMAGED = 200
LABELS = np.repeat(np.array([0, 1], dtype=np.uint8), 20)
FULL = dataclasses.replace(
    make_record(normal_label=3),
    cost={"fit_seconds": 1.5, "score_seconds": 0.5, "images_per_second": 10.0, "parameters": 7, "peak_memory_bytes": 8},
    by_kind={"scratch": {"auroc": 0.7, "pixel_auroc": 0.8}},
    maps={"height": 8, "width": 8, "residual": True, "blur": 0.02, "agreement": None, "largest": 2.0, "usual": 0.5},
    parameters={"nu": 0.1, "name": "x"},
    epochs=[{"epoch": 1, "losses": {"a": 0.5}, "auroc": 0.5}, {"epoch": 2, "losses": {"a": None}}],
    traced=True,
    oracle_candidates=[{"parameters": {"gamma": 0.5}, "auroc": 0.6}],
    ledger={"used": [], "published": ["test labels"]},
    attempts=[{"status": "oom", "message": "x"}],
    provenance={"libraries": {"torch": "2"}, "command": ["bench", "run"], "started": "2025", "ended": "2026"},
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in a JSON value, but of the whole."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from places(each, (*path, key))


def with_replaced(facts: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy in which something else stands at a path."""
    copy = json.loads(json.dumps(facts))
    holder = functools.reduce(lambda inner, key: inner[key], path[:-1], copy)
    holder[path[-1]] = value
    return copy


FACTS = json.loads(FULL.to_json())
PLACES = list(places(FACTS))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=st.sampled_from(PLACES), value=ANYTHING)
def test_what_is_read_as_a_record_can_be_shown(path: tuple[Any, ...], value: Any) -> None:
    text = json.dumps(with_replaced(FACTS, path, value)).encode()
    try:
        record = Record.from_json(text)
    except ValueError as error:
        assert str(error)
        return
    frame([record])
    account([record], lambda each: True)
    assert record.reason is not None
    assert Record.from_json(record.to_json().encode()) == record
    if record.status == "done":
        selection = select([record], lambda each: True)
        class_table(selection, "auroc", [], choice="both" if record.traced else "last")
        metric_tables(selection, METRICS)


@settings(max_examples=200, deadline=None)
@given(text=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_other_file_is_no_record(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Record.from_json(text)


def damaged(text: str, random: Random) -> str:
    """A record's file with something wrong in it."""
    facts = json.loads(text)
    match random.randrange(5):
        case 0:
            return text[: random.randrange(len(text) - 2)]
        case 1:  # another type
            path = random.choice([path for path in places(facts) if path[0] not in ("parameters", "ledger")])
            return json.dumps(with_replaced(facts, path, random.choice([{"a": [1]}, [[]], "boom" * 9, -1.5e300])))
        case 2:
            return "[" * random.randrange(200, 5000)
        case 3:  # names
            return json.dumps(
                with_replaced(facts, ("job", random.choice(["method", "dataset", "protocol"])), "../../x")
            )
        case _:
            return json.dumps({**facts, "schema": random.choice([0, 99, None, "1"])})


@pytest.fixture
def spoilt(tmp_path: Path, digits_data: Path) -> tuple[Bench, list[Path], list[Path]]:
    """A store of good records with scores, as many damaged ones beside them, and records whose scores are another's."""
    bench, random = Bench(tmp_path / "work", digits_data), Random(0)
    store = bench.store
    put_quickstart(store, LABELS, {"ocsvm": {}, "pca": {}, "mean_image": {}}, classes=8)
    good = store.records()[0]
    texts = [store.path(record.job).read_text() for record in good]
    bad: list[Path] = []
    while len(bad) < DAMAGED:
        text = damaged(random.choice(texts), random)
        path = store.folder / "digits/holdout_80_20/knn" / f"{len(bad):032x}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        bad.append(path)
    mixed = [store.scores_path(record) for record in good if record.job.method == "pca"]
    for path in mixed:
        path.write_bytes(store.scores_path(good[0]).read_bytes())
    return bench, bad, mixed


@pytest.mark.parametrize(
    ("command", "shows"),
    [
        ("table quickstart --profile cpu", "ocsvm"),
        ("status", "ocsvm"),
        ("stats quickstart", "Friedman"),
        ("stats quickstart --by-class", "ocsvm"),
        ("report quickstart --out report.html", "report.html"),
        ("figures quickstart --out figures", ".png"),
        ("gc", "0 superseded records and 0 leftover files"),
        ("export records.csv", "records.csv"),
    ],
)
def test_a_command_names_what_is_bad_and_goes_on(
    spoilt: tuple[Bench, list[Path], list[Path]], command: str, shows: str
) -> None:
    bench, bad, mixed = spoilt
    ended = bench(*command.split())
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said[-2000:]
    assert "Traceback" not in said
    assert shows in said
    assert all(str(path.relative_to(bench.folder)) in said for path in bad)
    if command.startswith("report"):
        said = (bench.folder / "report.html").read_text()
    if command.startswith(("figures", "report", "stats quickstart --by")):
        assert any(path.name in said for path in mixed)
    bench.all_gone()

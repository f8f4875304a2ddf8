"""``bench export`` and ``bench gc`` on records of a real run."""

from __future__ import annotations

import html
import shlex
import shutil

import pandas as pd
import pytest
from cli import Bench


def test_a_real_run_is_exported_with_a_row_for_each_record(undisturbed: Bench, bench: Bench) -> None:
    shutil.copytree(undisturbed.store.folder, bench.store.folder)
    exported = bench("export", "all.csv")
    assert exported.returncode == 0, exported.stderr
    assert exported.stdout == "60 records in all.csv\n"
    rows = pd.read_csv(bench.folder / "all.csv")
    assert {r.job.key: r.metrics["auroc"] for r in bench.records()} == dict(
        zip(rows["key"], rows["metrics.auroc"], strict=True)
    )
    refused = bench("export", "all.docx")
    assert refused.returncode == 2
    assert ".csv or .parquet" in refused.stderr


def test_a_real_run_is_reported_on_one_page_that_says_how_to_repeat_it(undisturbed: Bench, bench: Bench) -> None:
    shutil.copytree(undisturbed.store.folder, bench.store.folder)
    told = bench("report", "--figures", "none", "--out", "pages/digits.html")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("pages/digits.html: 1 tables, ")
    page = (bench.folder / "pages/digits.html").read_text(encoding="utf-8")
    typed = html.unescape(page)
    for record in bench.records():
        assert shlex.join(record.provenance["command"]) in typed
    assert "report --figures none --out pages/digits.html" in typed
    assert "bench run" in bench("report", "--results", "elsewhere").stderr


@pytest.mark.slow
def test_records_of_code_that_has_changed_are_shown_and_removed_only_when_told(bench: Bench) -> None:
    plugin = bench.folder / "mine" / "brightness.py"
    plugin.parent.mkdir()
    bench = Bench(bench.folder, bench.data, [plugin.parent])
    plugin.write_text(PLUGIN.format(power=1))
    assert bench.digits("brightness,mean_image", "0,1").returncode == 0
    plugin.write_text(PLUGIN.format(power=2))
    assert bench.digits("brightness,mean_image", "0,1").returncode == 0
    assert len(bench.records()) == 6

    shown = bench("gc")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("superseded  ") == 2
    exported = bench("export", "all.csv")
    assert exported.stdout == "6 records in all.csv, 2 of them superseded (current is false)\n"
    rows = pd.read_csv(bench.folder / "all.csv")
    assert list(rows["method"][~rows["current"]]) == ["brightness"] * 2
    assert "2 superseded records and 0 leftover files would be removed; do it with --yes" in shown.stdout
    assert len(bench.records()) == 6
    assert "2 superseded records and 0 leftover files removed" in bench("gc", "--yes").stdout
    assert len(bench.records()) == 4
    assert "0 would be run" in bench.digits("brightness,mean_image", "0,1", "--dry-run").stdout
    assert bench("gc").stdout == "0 superseded records and 0 leftover files would be removed\n"


PLUGIN = '''
"""Mean brightness."""

from bench.method import Method, method


@method(version="1")
class Brightness(Method):
    def fit(self, images, context):
        return self

    def score(self, images):
        return (images / 255.0).mean(axis=(1, 2, 3)) ** {power}
'''

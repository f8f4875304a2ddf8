"""``bench verify``: published figures held against records."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from records import make_record
from typer.testing import CliRunner

from bench.cli import app
from bench.report.tables.published import of_table, published_values
from bench.store import Store

OWN = of_table("2")["Ours"]


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits_data: Path) -> object:
    """``bench verify`` over three records: one that reproduces, one that does not, one that failed."""
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "runs")
    for normal_class, error in (("0", 0.004), ("1", -0.05)):
        auroc = OWN["mnist", normal_class].auroc + error
        record = make_record(method="shared_ae", normal_class=normal_class, auroc=auroc)
        store.put(dataclasses.replace(record, split={**record.split, "normal_classes": 10}))
    store.put(make_record(method="vae", normal_class="0", status="failed"))

    def run(*arguments: str) -> tuple[int, str]:
        ended = CliRunner().invoke(app, ["verify", *arguments, "--results", "runs", "--data", str(digits_data)])
        return ended.exit_code, ended.output

    return run


def test_each_figure_gets_the_verdict_that_its_record_earns(verify) -> None:  # type: ignore[no-untyped-def]
    code, text = verify("2", "--json")
    assert code == 1
    claims = json.loads(text)["claims"]
    assert len(claims) == len([figure for figure in published_values() if figure.table == "2" and figure.suite])
    verdicts = {(claim["method"], claim["normal_class"]): (claim["verdict"], claim["reason"]) for claim in claims}
    assert verdicts["Ours", "0"] == ("reproduced", "")
    assert verdicts["Ours", "1"] == ("differs", "")
    assert verdicts["Ours", "2"] == ("not comparable", "no record")
    assert verdicts["VAE", "0"] == ("not comparable", "failed")
    assert verdicts["PIAD", "0"] == ("not comparable", "no record")
    assert verdicts["OCGAN", "0"] == ("not comparable", "no record")
    reruns = {claim["method"] for claim in claims if "re-run" in claim["method"]}
    assert len(reruns) == 3
    assert {verdicts[name, "mean"] for name in reruns} == {("not comparable", "no record")}
    (zero,) = [claim for claim in claims if (claim["method"], claim["normal_class"]) == ("Ours", "0")]
    assert zero["difference"] == pytest.approx(0.004)


def test_the_tolerance_decides_and_so_does_the_exit_code(verify) -> None:  # type: ignore[no-untyped-def]
    code, text = verify("2", "--tolerance", "0.05")
    assert code == 0
    assert "2 reproduced, 0 differs" in text
    code, text = verify("2", "--tolerance", "0.003")
    assert code == 1
    assert "0 reproduced, 2 differs" in text
    assert "not comparable: no record" in text


def test_without_records_nothing_is_comparable_and_columns_of_unknown_classes_never_are(verify) -> None:  # type: ignore[no-untyped-def]
    code, text = verify("4")
    assert code == 0
    assert "0 reproduced, 0 differs, 48 not comparable" in text
    assert "which class this column is, the text does not say" in text


def test_context_is_never_comparable(verify, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    Store(tmp_path / "runs").put(make_record(method="skip_ganomaly", normal_class="0", auroc=0.941))
    code, text = verify("skip-ganomaly")
    assert code == 0
    assert "0 reproduced, 0 differs, 2 not comparable" in text
    assert "not comparable: origin and protocol unknown" in text


def test_a_table_without_published_figures_is_refused(verify) -> None:  # type: ignore[no-untyped-def]
    from bench.errors import BenchError

    runner = CliRunner().invoke(app, ["verify", "9", "--results", "runs"])
    assert isinstance(runner.exception, BenchError)
    assert "there are some for: 1, 2, 3, 4, 5" in str(runner.exception)


CAUSES = """
[[experiment]]
cause = "{cause}"
says = "trained for longer"
tables = ["2"]
label = "shared_ae"
results = "longer"
selection = "{selection}"
"""


def test_a_difference_is_explained_by_the_records_that_come_nearest_or_by_none(verify, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    causes = tmp_path / "causes.toml"
    causes.write_text("")
    code, text = verify("2", "--explain", "--causes", str(causes))
    assert code == 1
    assert "of 1 that differ by more than 0.01: 0 explained, 0 in part, 1 unexplained" in text

    causes.write_text(CAUSES.format(cause="budget", selection="last"))
    published = OWN["mnist", "1"].auroc
    for error, told in (
        (-0.008, "1 explained, 0 in part, 0"),
        (0.02, "0 explained, 1 in part, 0"),
        (-0.04, "0 in part, 1"),
    ):
        Store(tmp_path / "longer").put(make_record(method="shared_ae", normal_class="1", auroc=published + error))
        code, text = verify("2", "--explain", "--causes", str(causes))
        assert told in text
        assert "trained for longer" in text
        assert ("1 by budget" in text) == (error != -0.04)
    (reason,) = json.loads(verify("2", "--explain", "--causes", str(causes), "--json")[1])["explanations"]
    assert (reason["verdict"], reason["auroc_there"]) == ("unexplained", pytest.approx(published - 0.04))


def test_an_experiment_may_be_what_the_test_labels_or_the_test_batches_chose(verify, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    published = OWN["mnist", "1"].auroc
    epochs = [{"epoch": 1, "auroc": published}, {"epoch": 2, "auroc": 0.5, "auroc_by_batch": published - 0.02}]
    record = make_record(method="shared_ae", normal_class="1", auroc=0.5)
    Store(tmp_path / "longer").put(dataclasses.replace(record, traced=True, epochs=epochs))
    causes = tmp_path / "causes.toml"
    for selection, cause, told in (
        ("oracle", "epoch chosen by labels", "1 explained"),
        ("by batch", "batch statistics", "1 in part"),
    ):
        causes.write_text(CAUSES.format(cause=cause, selection=selection))
        text = verify("2", "--explain", "--causes", str(causes))[1]
        assert told in text
        assert f"1 by {cause}" in text


def test_a_file_that_holds_no_experiments_is_refused(verify, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from bench.errors import BenchError

    causes = tmp_path / "causes.toml"
    for text, said in ((CAUSES.format(cause="the moon", selection="last"), "cause"), ("][", "cannot be read")):
        causes.write_text(text)
        ended = CliRunner().invoke(app, ["verify", "--explain", "--causes", str(causes), "--results", "runs"])
        assert isinstance(ended.exception, BenchError)
        assert said in str(ended.exception)


def test_a_figure_whose_class_the_paper_does_not_name_is_marked_in_the_data_and_no_other() -> None:
    unplaced = [figure for figure in published_values() if figure.kind == "unplaced"]
    assert unplaced
    assert not any(figure.comparable for figure in unplaced)
    assert all("which class this column is" in figure.note for figure in unplaced)
    numbered = [figure for figure in published_values() if figure.normal_class.startswith("col")]
    assert {figure.kind for figure in numbered} == {"unplaced", "context"}, "no name of a class begins so"

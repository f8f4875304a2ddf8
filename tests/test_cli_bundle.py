"""``bench bundle``: records of strangers' plugins, made again where the plugins are not."""

from __future__ import annotations

import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest
from cli import Bench, python_prints
from projects import DATASET, METHOD

pytestmark = pytest.mark.slow

TOML = """
[plugins]
methods = ["methods"]
datasets = ["datasets"]

[profiles.cpu.methods.mean]
steps = 5
"""


@pytest.fixture
def strangers(bench: Bench) -> Bench:
    """A run of a stranger's method, and of one of the harness, on a stranger's dataset."""
    for name, text in (("methods/mean.py", METHOD), ("datasets/animals.py", DATASET)):
        file = bench.folder / name
        file.parent.mkdir()
        file.write_text(text)
    bench.config.write_text(TOML)
    grid = ["--dataset", "animals", "--methods", "mean,pca", "--classes", "ape,bee", "--profile", "cpu"]
    ended = bench("run", *grid, "--device", "cpu")
    assert ended.returncode == 0, ended.stderr
    return bench


def test_a_job_is_done_again_by_the_code_that_is_kept_though_the_plugin_was_changed(strangers: Bench) -> None:
    plugin = strangers.folder / "methods/mean.py"
    plugin.write_text(METHOD.replace("** self.power", "** self.power / 2"))
    files = sorted(strangers.store.folder.rglob("*"))
    record = strangers.record("mean", "ape")
    told = strangers("reproduce", record.job.key, strangers.record("pca", "bee").job.key[:12])
    assert told.returncode == 0, told.stderr
    assert f"method mean: kept in results/runs/sources/{record.job.fingerprint}" in told.stdout
    assert "dataset animals: kept in" not in told.stdout, "it is as it was"
    assert "other than then" not in told.stdout
    assert "2 of 2 records came out the same: every score, bit for bit" in told.stdout
    assert sorted(strangers.store.folder.rglob("*")) == files

    old = strangers("rerun", record.job.key)
    assert old.returncode == 0, old.stderr
    assert "bench rerun is called bench reproduce now" in old.stderr
    assert "rerun" not in strangers("--help").stdout


@pytest.mark.parametrize("out", ["supplement.zip", "supplement"])
def test_a_bundle_has_all_that_it_takes_to_make_its_records_again(strangers: Bench, tmp_path: Path, out: str) -> None:
    told = strangers("bundle", out, "--figures", "none")
    assert told.returncode == 0, told.stderr
    assert f"{out}: 4 records, the code of 2 plugins" in told.stdout
    assert "already" in strangers("bundle", out).stderr
    if out.endswith(".zip"):
        with zipfile.ZipFile(strangers.folder / out) as file:
            file.extractall(tmp_path)
    else:
        shutil.copytree(strangers.folder / out, tmp_path / "supplement")
    scores = strangers.scores()
    shutil.rmtree(strangers.folder)
    folder = tmp_path / "supplement"

    def fresh(*arguments: str) -> str:
        """What a command prints in the bundle, where nobody has heard of the plugins, nor of the data."""
        return python_prints("-m", "bench", *arguments, folder=folder, BENCH_DATA=str(tmp_path / "data"))

    assert {file.name for file in folder.iterdir()} == {
        "README.md", "bench.toml", "records", "report.html", "requirements.txt",
    }  # fmt: skip
    config = tomllib.loads((folder / "bench.toml").read_text())
    assert config["results"] == "records"
    assert config["profiles"]["cpu"]["methods"]["mean"] == {"steps": 5}
    assert "data" not in config
    assert "numpy==" in (folder / "requirements.txt").read_text()
    page = (folder / "report.html").read_text()
    assert "method <code>mean</code>, 2 records" in page
    assert "bench reproduce KEY" in page
    again = fresh("reproduce", *scores)
    assert "method mean: kept in" in again
    assert "dataset animals: kept in" in again
    assert "4 of 4 records came out the same: every score, bit for bit" in again
    assert " stale" not in fresh("table", "animals", "--profile", "cpu")
    more = fresh("run", "--dataset", "animals", "--methods", "mean", "--profile", "cpu", "--device", "cpu")
    assert "cat" in more, "a class that was not run"


def test_code_that_nobody_has_any_more_is_named(strangers: Bench) -> None:
    shutil.rmtree(strangers.store.folder / "sources")
    plugin = strangers.folder / "methods/mean.py"
    plugin.write_text(METHOD.replace("** self.power", "** self.power / 2"))
    told = strangers("bundle", "supplement", "--figures", "none")
    assert told.returncode == 0, told.stderr
    assert "warning: the code of method mean is lost, by which 2 records were made" in told.stderr
    assert "4 records, the code of 1 plugins" in told.stdout
    readme = (strangers.folder / "supplement/README.md").read_text()
    assert "method `mean`: **not in this bundle**" in readme
    refused = strangers("bundle", "nowhere/supplement", "mnist")
    assert refused.returncode == 2
    assert "no records for mnist" in refused.stderr

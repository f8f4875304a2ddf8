"""``bench submit`` and ``bench check-submission``: what others add is accepted where it holds, else refused by name."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from cli import Bench
from machines import OFFLINE, PACKAGE, Machine
from records import make_record
from typer.testing import CliRunner

from bench.cli.submission import check_submission
from bench.record import Record
from bench.store import Store
from bench.submission.review import drawn

pytestmark = pytest.mark.slow

COMMAND = typer.Typer()
COMMAND.command()(check_submission)

HONEST = '''
"""The distance to the mean training image."""

import numpy as np

from bench.method import Method, method


@method(version="1")
class Honest(Method):
    def fit(self, images, context):
        self.mean = images.mean(axis=0)
        return self

    def score(self, images):
        return ((images - self.mean) ** 2).mean(axis=(1, 2, 3))
'''
BY_LABELS = (
    HONEST.replace("Honest", "ByLabels")
    .replace(
        "return ((images",
        """from sklearn.datasets import load_digits

        digits = load_digits()
        labels = {image.tobytes(): label for image, label in zip(np.round(digits.images), digits.target)}
        def label(image):
            scale = 16 / 255 if image.max() > 16 else 1
            return labels[np.round(image[..., 0] * scale).astype(float).tobytes()]
        normal = label(self.first)
        return np.array([float(label(image) != normal) for image in images])
        return ((images""",
    )
    .replace("self.mean =", "self.first = images[0]\n        self.mean =")
)
"""Looks every test image up where its label stands."""
BY_CHANCE = HONEST.replace("Honest", "ByChance").replace(
    "return ((images", "return np.random.default_rng().random(len(images)) + 1e-9 * ((images"
)
"""Has other scores whenever it is asked."""


def submitted(bench: Bench, name: str, text: str, out: str = "submission") -> Path:
    """A run of a method of one's own on two digits, submitted."""
    file = bench.folder / f"methods/{name}.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    bench.config.write_text('[plugins]\nmethods = ["methods"]\n')
    ended = bench.digits(name, "0,1")
    assert ended.returncode == 0, ended.stderr
    told = bench("submit", out, "--methods", name)
    assert told.returncode == 0, told.stderr
    assert f"{out}: 2 records, the code of 1 plugins" in told.stdout
    file.unlink()
    return bench.folder / out


def refusals(bench: Bench, folder: Path) -> str:
    """Why a submission is refused, as ``bench check-submission`` says it, by the commands' own process."""
    ended = CliRunner().invoke(
        COMMAND, [str(folder), "--count", "1", "--data", str(bench.data), "--config", str(bench.config)]
    )
    assert ended.exit_code == 1, ended.output
    assert "accepted" not in ended.output
    return ended.output


def edited(folder: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    """Change the members of a submission's archive: each to another name and content, or to none."""
    path = folder / "records.zip"
    with zipfile.ZipFile(path) as file:
        members = [change(name, file.read(name)) for name in file.namelist()]
    with zipfile.ZipFile(path, "w") as file:
        for member in members:
            if member is not None:
                file.writestr(*member)


def facts(change: Callable[[dict[str, Any]], None]) -> Callable[[str, bytes], tuple[str, bytes]]:
    """A change of every record's JSON."""

    def edit(name: str, content: bytes) -> tuple[str, bytes]:
        if not name.endswith(".json"):
            return name, content
        record = json.loads(content)
        change(record)
        return name, json.dumps(record).encode()

    return edit


def test_a_submission_of_a_plugin_package_is_accepted_where_the_package_is_not(machine: Machine) -> None:
    source = machine.folder / "package"
    shutil.copytree(PACKAGE, source)
    machine("-m", "pip", "install", *OFFLINE, str(source))
    grid = ["--suite", "quickstart", "--classes", "0,8", "--methods", "ledoit_wolf,ocsvm", "--device", "cpu"]
    machine.bench("run", *grid)
    told = machine.bench("submit", "results/ledoit_wolf", "quickstart")
    assert "results/ledoit_wolf: 4 records, the code of 1 plugins" in told
    machine("-m", "pip", "uninstall", "--quiet", "--yes", "oneclass-bench-example")
    shutil.rmtree(machine.folder / "results/runs")
    told = machine.bench("check-submission", "results/ledoit_wolf", "--count", "2", "--seed", "5")
    assert "4 records: schema, code, versions, data, splits, scores and figures are right" in told
    assert "doing 2 of them again, drawn with --seed 5" in told
    assert told.count("every score the same") == 2
    assert told.endswith("accepted: results/ledoit_wolf\n")
    machine.bench("leaderboard", "--out", "site")
    assert "ledoit_wolf" in (machine.folder / "site/index.html").read_text()


def test_bad_submissions_are_refused_by_name(bench: Bench) -> None:
    good = submitted(bench, "honest", HONEST)

    def refused(edit: Callable[[Path], None]) -> str:
        bad = bench.folder / "bad"
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(good, bad)
        edit(bad)
        return refusals(bench, bad)

    def better(record: dict[str, Any]) -> None:
        record["metrics"]["auroc"] = 0.999

    def of_another_split(name: str, content: bytes) -> tuple[str, bytes]:
        if name.startswith("splits/"):
            with np.load(io.BytesIO(content)) as file:
                arrays = dict(file)
            buffer = io.BytesIO()
            np.savez(buffer, **{**arrays, "indices": arrays["indices"][::-1]})
            return f"splits/{'0' * 15}{name[-5]}.npz", buffer.getvalue()
        return facts(lambda r: r["split"].update(fingerprint="0" * 15 + r["split"]["fingerprint"][-1]))(name, content)

    def other_code(folder: Path) -> None:
        (file,) = folder.glob("sources/*/code/**/honest.py")
        file.write_text(HONEST.replace("** 2", "** 4"))

    for check, edit in (
        ("figures", lambda folder: edited(folder, facts(better))),
        ("split", lambda folder: edited(folder, of_another_split)),
        ("scores", lambda folder: edited(folder, lambda n, c: None if n.endswith(".npy") else (n, c))),
        ("code", other_code),
        ("code", lambda folder: shutil.rmtree(folder / "sources")),
        ("schema", lambda folder: edited(folder, facts(lambda record: record.pop("status")))),
        ("schema", lambda folder: edited(folder, facts(lambda record: record["job"].update(seed=7)))),
    ):
        told = refused(edit)
        assert f"refused  {check}  " in told, told


def test_code_that_knows_the_labels_or_does_not_repeat_is_refused_by_name(bench: Bench) -> None:
    for name, text, check, reason in (
        ("by_labels", BY_LABELS, "blind", "digits.csv.gz, where no file is needed"),
        ("by_chance", BY_CHANCE, "rerun", "its AUROC was"),
    ):
        folder = submitted(bench, name, text, out=name)
        told = refusals(bench, folder)
        assert f"refused  {check}  " in told, told
        assert reason in told, told
    assert min(r.metrics["auroc"] for r in Store(bench.folder / "by_labels").records()[0]) == 1


def test_what_would_be_refused_is_not_packed_and_nothing_is_overwritten(bench: Bench) -> None:
    folder = submitted(bench, "honest", HONEST)
    assert bench("submit", folder.name).returncode == 2
    assert "no records of that" in bench("submit", "other", "--methods", "pca").stderr
    record = bench.record("honest", "0")
    path = bench.store.path(record.job)
    path.write_text(json.dumps({**json.loads(path.read_text()), "metrics": {**record.metrics, "auroc": 0.999}}))
    told = bench("submit", "other")
    assert told.returncode == 1
    assert "refused  figures" in told.stderr
    assert not (bench.folder / "other").exists()


def test_a_method_that_took_the_name_of_one_of_bench_is_refused(bench: Bench) -> None:
    folder = submitted(bench, "honest", HONEST)
    records, _ = Store(folder).records()
    claimed = [
        make_record(method="ocsvm", dataset="digits", protocol="holdout_80_20", normal_class="0") for _ in records
    ]
    Store(folder).put(claimed[0])
    assert "ocsvm is a method of bench with other code" in refusals(bench, folder)


def test_some_are_drawn_by_lot_one_of_each_method_at_least() -> None:
    records = [make_record(method=method, seed=seed) for method in ("pca", "knn", "vae") for seed in range(20)]

    def keys(found: list[Record]) -> list[str]:
        return [record.job.key for record in found]

    assert {record.job.method for record in drawn(records, 1, 0)} == {"pca", "knn", "vae"}
    assert len(drawn(records, 7, 0)) == 7
    assert keys(drawn(records, 7, 0)) == keys(drawn(records, 7, 0)) != keys(drawn(records, 7, 1))
    assert len(drawn(records, 100, 0)) == 60

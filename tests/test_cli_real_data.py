"""The paper's suites and a folder of one's own, end to end on the real images, each cut down to a few jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli import Bench, rows

from bench.store import Store

REFERENCE = Path(__file__).parent.parent / "results" / "reference"
pytestmark = pytest.mark.real_data

METHODS = "ocsvm,shared_ae(epochs=1,min_steps=0,width=8)"


@pytest.fixture
def real(tmp_path: Path, real_data: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "work", real_data)
    yield bench
    for process in bench.processes():
        process.kill()


@pytest.mark.parametrize(
    ("suite", "floors"),
    [
        ("mnist", {"0": 0.97, "8": 0.85}),
        ("fashion_mnist", {"T-shirt/top": 0.88, "Bag": 0.8}),
        ("coil100", {"obj1": 0.97, "obj9": 0.97}),
        # raw pixels tell little about the classes of CIFAR: 0.64 and 0.64, 0.55 and 0.45
        ("cifar10", {"airplane": 0.62, "ship": 0.62}),
        ("cifar100", {"apple": 0.53, "bus": 0.43}),
    ],
)
def test_a_suite_of_the_paper_runs_and_the_svm_is_as_good_as_it_should_be(
    real: Bench, suite: str, floors: dict[str, float]
) -> None:
    options = ["--seeds", "1", "--profile", "cpu", "--max-train", "300", "--device", "cpu"]
    ended = real("run", "--suite", suite, "--classes", ",".join(floors), "--methods", METHODS, *options)
    assert ended.returncode == 0, ended.stderr
    assert len(real.records()) == 4
    for normal_class, floor in floors.items():
        record = real.record("ocsvm", normal_class)
        assert record.split["train"] <= 300
        assert record.metrics["auroc"] > floor
    shown = rows(ended.stdout)
    assert [row[0] for row in shown] == [*floors, "mean"]
    assert shown[0][1] == f"{real.record('ocsvm', next(iter(floors))).metrics['auroc']:.3f}"


def test_the_first_run_on_a_dataset_says_nothing_but_its_own(tmp_path: Path, real_data: Path) -> None:
    """Its command alone imports torchvision, to read the original files."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "MNIST").symlink_to(real_data / "MNIST")
    bench = Bench(tmp_path / "work", data)
    ended = bench("run", "--suite", "mnist", "--classes", "0", "--methods", "mean_image", "--seeds", "1", "--quiet")
    assert ended.returncode == 0, ended.stderr
    assert (data / "prepared").is_dir()
    assert not ended.stderr


def test_a_folder_of_images_is_a_dataset(real: Bench) -> None:
    ended = real("run", "--dataset", "folder(path='magnetic_tile',size=32)", "--methods", "ocsvm", "--device", "cpu")
    assert ended.returncode == 0, ended.stderr
    (record,) = real.records()
    assert record.job.protocol == "train_test_folders"
    assert record.job.normal_class == "good"
    assert (record.split["train"], record.split["test"]) == (711, 241 + 386)
    assert record.metrics["auroc"] > 0.52


@pytest.mark.parametrize("method", ["ocsvm", "autoencoder"])
def test_a_record_of_the_reference_run_comes_out_again(real: Bench, method: str) -> None:
    """On any processor: exactly where another one's record is not the cause, else within what ``reproduce`` allows."""
    records, _ = Store(REFERENCE).records()
    key = min(record.job.key for record in records if (record.job.method, record.job.dataset) == (method, "cifar100"))
    told = real("reproduce", key, "--results", str(REFERENCE), "--device", "cpu")
    assert told.returncode == 0, told.stdout + told.stderr

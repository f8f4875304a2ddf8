"""Wrong usage ends with exit code 2 and a message that says what is wrong and what to type next."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import get_args

import pytest
from cli import Bench, python_prints

from bench.cli.listing import Listed
from bench.version import VERSION

OCSVM = "run --dataset digits --methods ocsvm"
TOML = """\
[suites.mine]
dataset = "digits"
seed = 2
"""


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("run --suite quickstrat", ["no suite called 'quickstrat'", "did you mean quickstart?", "bench list suites"]),
        ("run --dataset digit", ["no dataset called 'digit'", "did you mean digits?"]),
        ("run --dataset digits --methods ocsmv", ["no method called 'ocsmv'", "did you mean ocsvm?"]),
        (f"{OCSVM} --profile cpuu", ["no profile called 'cpuu'", "did you mean cpu?"]),
        (f"{OCSVM} --classes 0,ten", ["no class of digits called 'ten'", "0, 1, 2"]),
        (
            "run --dataset digits --methods ocsvm(mu=0.1)",
            ["no parameter of ocsvm called 'mu'", "gamma, nu, preprocessing"],
        ),
        ("run --dataset digits --methods ocsvm(gama=1.0)", ["no parameter of ocsvm called", "did you mean gamma?"]),
        ("run --dataset digits --methods ocsvm(nu='much')", ["ocsvm: nu='much' is not usable", "number"]),
        ("run --dataset digits --methods ocsvm( --classes 0", ["cannot read 'ocsvm('", "name(key=value, …)"]),
        (f"{OCSVM} --set ocsvm", ["cannot read --set 'ocsvm'", "--set shared_ae.epochs=5"]),
        (f"{OCSVM} --set ocvsm.nu=1", ["'ocvsm'", "did you mean ocsvm?"]),
        (
            "run --dataset digits --methods ocsvm --seeds some",
            ["cannot read seeds 'some'", "how many (3) or which (0,1,2"],
        ),
        (f"{OCSVM} --seeds 0", ["asks for no seed"]),
        (f"{OCSVM} --workers 0", ["--workers must be at least 1, not 0"]),
        (f"{OCSVM} --device tpu", ["unknown device 'tpu'", "auto, cpu, cuda or cuda:0"]),
        (f"{OCSVM} --device cuda", ["--device cuda", "no GPU", "bench doctor"]),
        ("run --dataset digits --protocol official_split --methods ocsvm", ["no official split", "holdout_80_20"]),
        ("run", ["--suite", "--dataset"]),
        ("table nine", ["called 'nine'", "quickstart"]),
        ("table quickstart", ["no records for quickstart", "bench run"]),
        ("show xyz", ["'xyz' is no key"]),
        ("show 12ab", ["no record has a key starting with '12ab'"]),
        ("data verify coil", ["no dataset called 'coil'", "did you mean coil100?"]),
        ("list leaderboards", ["methods", "suites"]),
        (f"{OCSVM} --timeout 0", ["--timeout"]),
    ],
)
def test_wrong_usage_is_explained(bench: Bench, command: str, expected: list[str]) -> None:
    _refused(bench, command, expected)


def test_a_bare_list_says_what_can_be_listed_and_the_version_is_told(bench: Bench) -> None:
    listed = bench("list")
    assert listed.returncode == 0, listed.stderr
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(get_args(Listed))
    assert [row["name"] for row in json.loads(bench("list", "--json").stdout)] == list(get_args(Listed))
    told = python_prints("-m", "bench", "--version", folder=bench.folder)
    assert told == f"oneclass-bench {VERSION}\n"


def test_missing_data_is_named_file_by_file_with_the_command_that_fetches_it(bench: Bench, digits_data: Path) -> None:
    expected = [
        "dataset mnist is not in the data folder",
        str(digits_data / "MNIST" / "raw" / "train-images-idx3-ubyte"),
        "t10k-labels-idx1-ubyte",
        f"bench data fetch mnist --data {digits_data}",
        "$BENCH_DATA",
    ]
    _refused(bench, "run --suite mnist --methods ocsvm", expected)


def test_an_unknown_key_in_bench_toml_is_named_with_file_line_and_the_nearest_key(bench: Bench) -> None:
    bench.config.write_text(TOML)
    _refused(
        bench,
        "list suites",
        [f"{bench.config}, line 3: suites.mine.seed: unknown key 'seed'", "did you mean seeds?"],
    )


def test_a_results_folder_that_is_a_file_is_refused_without_a_traceback(bench: Bench) -> None:
    (bench.folder / "results").write_text("")
    _refused(bench, f"{OCSVM} --classes 0 --device cpu", ["results"])


def test_a_prepared_array_that_was_altered_is_named_and_nothing_is_run(
    bench: Bench, undisturbed: Bench, tmp_path: Path
) -> None:
    shutil.copytree(undisturbed.data, tmp_path / "data")
    bench.data = tmp_path / "data"
    (images,) = bench.data.glob("prepared/digits-*/images.npy")
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(content)
    _refused(bench, f"{OCSVM} --classes 0", [str(images), "altered", "rm -r"])
    assert not bench.store.folder.exists()


def test_a_truncated_record_is_named_and_its_job_run_again(bench: Bench, undisturbed: Bench) -> None:
    shutil.copytree(undisturbed.store.folder, bench.store.folder)
    record = bench.record("ocsvm")
    path = bench.store.path(record.job)
    path.write_text(path.read_text()[:200])
    assert f"unreadable  record {path.relative_to(bench.folder)} cannot be used" in bench("status").stdout

    ended = bench.digits("ocsvm", "0,1", "--workers", "1")

    assert ended.returncode == 0, ended.stderr
    assert f"warning: record {path.relative_to(bench.folder)} cannot be used" in ended.stderr
    assert "2 jobs, 1 recorded, 1 to run" in ended.stderr
    assert bench.scores() == undisturbed.scores()


def _refused(bench: Bench, command: str, expected: list[str]) -> None:
    refused = bench(*command.split())
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr
    for text in expected:
        assert text in refused.stderr

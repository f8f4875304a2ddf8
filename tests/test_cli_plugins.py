"""Whatever a plugin does, its job has one clear record and no other job is harmed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli import PLUGINS, Bench, rows

pytestmark = pytest.mark.slow

SOUND = '''"""The smallest plugin there is."""
from bench.method import Method, method

@method(version="1")
class MeanImage(Method):
    def fit(self, images, context):
        self.mean = images.mean(axis=0)
        return self

    def score(self, images):
        return ((images - self.mean) ** 2).mean(axis=(1, 2, 3))
'''
MISTAKE = SOUND.replace("return self\n", "return 1 / 0\n")


def misbehaves(how: str) -> str:
    return f"misbehaves(how='{how}')"


ENDINGS = {
    misbehaves("raises"): ("failed", "LookupError: the cause, in the plugin's own words"),
    misbehaves("exits"): ("failed", "exit code 3"),
    misbehaves("quits"): ("failed", "exit code 1"),
    misbehaves("wrong_shape"): ("failed", r"TypeError: score returned float64 \(\d+,\); expected floats of shape \("),
    misbehaves("nan_scores"): ("diverged", r"1 of \d+ scores are not finite"),
    misbehaves("nan_loss"): ("diverged", "a loss is not finite after epoch 1: loss nan"),
    misbehaves("segfaults"): ("killed", "SIGSEGV"),
    misbehaves("kills_itself"): ("killed", "SIGKILL"),
    misbehaves("eats_memory"): ("oom", "MemoryError: Unable to allocate"),
    "overtime": ("timeout", "took longer than 1 s"),
    "mistyped": ("failed", "SyntaxError.*line 1"),
    "unimportable": ("failed", "RuntimeError: this plugin needs a licence key"),
    "leaves_early": ("failed", "SystemExit"),
    "mistaken": ("failed", "ZeroDivisionError: division by zero"),
}
"""Methods that fail: the status of the record, and a pattern of the reason."""
UNHARMED = ["ocsvm", misbehaves("floods"), misbehaves("closes_stdout"), misbehaves("leaves_child")]
"""Methods that misbehave without failing, and one that does nothing wrong."""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, digits_data: Path) -> Bench:
    """Every bad plugin in one run, with its output in ``stdout`` and ``stderr``."""
    folder = tmp_path_factory.mktemp("zoo")
    own = folder / "plugins"
    own.mkdir()
    (own / "mistyped.py").write_text("def fit(:\n")
    (own / "mistaken.py").write_text(MISTAKE)
    bench = Bench(folder, digits_data, [PLUGINS, own])
    ended = bench.digits(",".join([*ENDINGS, *UNHARMED]), "0")
    (folder / "stdout").write_text(ended.stdout)
    (folder / "stderr").write_text(ended.stderr)
    assert ended.returncode == 1, ended.stderr
    return bench


def test_a_run_with_bad_plugins_does_every_job_and_leaves_no_process(zoo: Bench) -> None:
    zoo.all_gone()
    assert len(zoo.records()) == len(ENDINGS) + len(UNHARMED)
    for label in UNHARMED:
        assert zoo.record(label).status == "done", zoo.record(label).error
    assert f"{len(ENDINGS)} of {len(ENDINGS) + len(UNHARMED)} jobs did not end well" in _stderr(zoo)


@pytest.mark.parametrize("label", ENDINGS)
def test_every_failure_becomes_a_record_with_its_status_and_reason(zoo: Bench, label: str) -> None:
    status, reason = ENDINGS[label]
    record = zoo.record(label)
    assert record.status == status
    assert re.search(reason, record.reason), record.reason
    assert "\n" not in record.reason
    assert record.scores_sha256 is None
    named = [line for line in _stderr(zoo).splitlines() if line.startswith(f"  {record.job.key[:12]}")]
    assert named == [f"  {record.job.key[:12]}  {status:8}  {record.job.title}: {record.reason}"]


def test_what_may_be_the_machines_fault_was_tried_twice_and_nothing_else(zoo: Bench) -> None:
    retried = {record.job.label: [a["status"] for a in record.attempts] for record in zoo.records() if record.attempts}
    assert retried == {
        misbehaves("segfaults"): ["killed"],
        misbehaves("kills_itself"): ["killed"],
        misbehaves("eats_memory"): ["oom"],
    }


def test_a_failure_keeps_its_traceback_or_the_end_of_the_workers_output(zoo: Bench) -> None:
    raised = zoo.record(misbehaves("raises"))
    assert raised.error is not None
    assert raised.error["message"].endswith("and more on a second line")
    assert "misbehaves.py" in raised.error["traceback"]
    assert "what was printed before" in raised.error["log"]
    quit_ = zoo.record(misbehaves("quits"))
    assert quit_.error is not None
    assert "a script's way to say" in quit_.error["log"]


def test_what_plugins_print_reaches_neither_the_table_nor_the_progress(zoo: Bench) -> None:
    stdout = (zoo.folder / "stdout").read_text()
    assert stdout.strip().startswith("digits, holdout_80_20")
    for text in (stdout, _stderr(zoo)):
        assert "a line on stdout" not in text
        assert "xxx" not in text
    (row,) = rows(stdout)
    assert row[0] == "0"
    assert row.count("failed") == len(ENDINGS)
    assert len([cell for cell in row[1:] if re.fullmatch(r"[01]\.\d{3}", cell)]) == len(UNHARMED)


def test_rerun_failed_repeats_the_failed_jobs_alone_and_a_mended_plugin_has_a_new_key(zoo: Bench) -> None:
    before = zoo.files()
    failed = zoo.record("mistaken")
    chosen = ",".join(["mistaken", misbehaves("raises"), *UNHARMED])
    path = zoo.store.path(failed.job)

    again = zoo.digits(chosen, "0", "--rerun", "failed")
    assert again.returncode == 1, again.stderr
    assert "6 jobs, 6 recorded, 2 to run (2 of them again) on " in again.stderr
    changed = {file for file, facts in zoo.files().items() if before[file] != facts}
    assert changed == {path, zoo.store.path(zoo.record(misbehaves("raises")).job)}

    (zoo.folder / "plugins" / "mistaken.py").write_text(SOUND)
    mended = zoo.digits("mistaken", "0")
    assert mended.returncode == 0, mended.stderr
    statuses = {r.job.key: r.status for r in zoo.records() if r.job.method == "mistaken"}
    assert sorted(statuses.values()) == ["done", "failed"]
    assert statuses[failed.job.key] == "failed"


def test_listings_name_the_plugins_that_cannot_be_used_and_doctor_counts_them(zoo: Bench) -> None:
    listed = zoo("list", "methods", "--json")
    problems = {row["name"]: row["problem"] for row in json.loads(listed.stdout)}
    assert "SyntaxError" in problems["mistyped"]
    assert problems["ocsvm"] == ""
    checked = zoo("doctor")
    assert checked.returncode == 1
    assert "Traceback" not in checked.stderr
    assert "RuntimeError: this plugin needs a licence key" in checked.stdout
    assert "method ocsvm: ok" in checked.stdout


def _stderr(bench: Bench) -> str:
    return (bench.folder / "stderr").read_text()


def test_a_job_that_grows_past_its_memory_limit_is_ended_and_not_repeated(bench: Bench) -> None:
    ended = bench.digits(f"{misbehaves('grows')},mean_image", "0", "--memory", "1.5")
    assert ended.returncode == 1
    record = bench.record(misbehaves("grows"))
    assert record.status == "oom"
    assert re.search(r"^held (1\.[5-9]|[2-9])\d* GB of memory, more than its limit of 1\.5 GB$", record.reason)
    assert record.attempts == []
    assert bench.record("mean_image").status == "done"
    bench.all_gone()

"""``import bench``: nothing heavy at first, runs as the command does them, and results to look at."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from cli import Bench, Gate, eventually, python_prints
from projects import Project
from records import make_record, put_quickstart

import bench as api
from bench.api.results import Results
from bench.errors import BenchError
from bench.report.figures.gallery import KINDS, Gallery
from bench.report.request import score_reader
from bench.report.selection import select
from bench.specs import parse_spec
from bench.store import Store

LABELS = np.repeat([0, 1], [40, 60]).astype(np.uint8)


def test_importing_bench_imports_nothing_heavy(tmp_path: Path) -> None:
    heavy = ("torch", "pandas", "matplotlib", "numpy", "sklearn", "rich", "pydantic")
    code = f"import sys, bench; print(dir(bench)); print([name for name in {heavy} if name in sys.modules])"
    names, imported = python_prints("-c", code, folder=tmp_path).splitlines()
    assert names == str(sorted(api.__all__))
    assert imported == "[]"


def test_every_name_is_there_and_is_that_of_no_module_which_would_take_its_place() -> None:
    for name in api.__all__:
        assert getattr(api, name) is not None
        assert importlib.util.find_spec(f"bench.{name}") is None, name
    with pytest.raises(AttributeError, match="module 'bench' has no attribute 'evalute'"):
        _ = api.evalute  # type: ignore[attr-defined]


def test_list_methods_tells_of_each_what_its_file_says(project: Project) -> None:
    project.write_plugins()
    project.write("my_methods/broken.py", "import nowhere_to_be_found\n")
    found = api.list_methods()
    assert found["mean"] == "Distance to the mean training image."
    assert found["broken"] == "unavailable: needs nowhere_to_be_found, which cannot be imported"
    assert list(found) == sorted(found)


# ---------------------------------------------------------------------------------------------------------------------
# bench.run


@pytest.mark.slow
def test_a_run_is_that_of_the_command_which_its_records_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bench.folder)
    ran: list[Results] = []

    def run() -> None:  # in another thread than the main one, which alone is told of signals
        ran.append(
            api.run(
                "quickstart",
                methods=["mean_image", "knn(neighbours=3)"],
                classes=[0, "8"],
                seeds=[1],
                parameters={"knn.neighbours": 7},
                device="cpu",
                data=bench.data,
                config=bench.config,
            )
        )

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    (results,) = ran
    assert {(r.job.label, r.job.normal_class, r.job.seed) for r in results} == {
        (label, name, 1) for label in ("mean_image", "knn(neighbours=7)") for name in "08"
    }
    assert all(record == bench.store.get(record.job) for record in results)
    commands = {tuple(record.provenance["command"]) for record in results}
    (command,) = commands
    repeated = bench(*command[1:], "--device", "cpu")
    assert "4 jobs, 4 recorded, 0 to run" in repeated.stderr, command


def test_what_fails_is_named_and_is_among_the_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(bench.folder)
    methods = ["mean_image", "misbehaves(how='raises')"]
    results = api.run(
        dataset="digits",
        methods=methods,
        classes=0,
        profile="cpu",
        device="cpu",
        quiet=True,
        data=bench.data,
        config=bench.config,
    )
    (failed,) = results.failed
    assert failed.job.label == methods[1]
    told = capfd.readouterr()
    assert told.out == ""
    assert "1 of 2 jobs did not end well:" in told.err.splitlines()
    assert "LookupError: the cause, in the plugin's own words" in told.err
    assert "AUROC" not in told.err
    assert "2 records (1 done, 1 failed) of mean_image, misbehaves(how='raises')" in repr(results)


STOPPED = """
import sys, bench
try:
    bench.run(dataset="digits", methods="gated", classes=[0], profile="cpu", device="cpu", config=sys.argv[1])
except KeyboardInterrupt as stop:
    print("stopped:", stop)
"""


@pytest.mark.slow
def test_a_run_that_is_stopped_says_so_and_goes_on_when_called_again(bench: Bench) -> None:
    gate = Gate(bench.folder / "gate")
    bench.environment |= gate.environment
    script = bench.folder / "stopped.py"
    script.write_text(STOPPED)
    command = [sys.executable, str(script), str(bench.config)]
    with subprocess.Popen(
        command, cwd=bench.folder, env=bench.all_variables(), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        eventually(lambda: len(gate.waiting()) == 1)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert said == "stopped: 1 jobs are left; the same call goes on with them\n"
    bench.all_gone()
    assert bench.records() == []
    gate.open()
    python_prints(str(script), str(bench.config), folder=bench.folder, **bench.variables())
    assert [record.status for record in bench.records()] == ["done"]


def test_what_does_not_exist_is_said_as_on_the_command_line(project: Project) -> None:
    for options, reason in (
        ({"suite": "quickstrat"}, "did you mean quickstart"),
        ({"suite": "quickstart", "methods": ["knnn"]}, "no method called 'knnn'; did you mean knn"),
        ({"suite": "quickstart", "methods": ["knn"], "classes": ["ten"]}, "no class of digits called 'ten'"),
        ({"suite": "quickstart", "methods": ["knn"], "device": "tpu"}, "unknown device 'tpu'"),
    ):
        with pytest.raises(BenchError, match=reason):
            api.run(**options, data=project.root / "data")  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------------------
# bench.load and what is made of results


@pytest.fixture
def results(project: Project) -> Results:
    """Three methods on six digits, two seeds each, and one run of another profile."""
    store = Store(project.root / "runs")
    methods = {"ocsvm": {}, "pca": {}, "knn": {}}
    put_quickstart(store, LABELS, methods, classes=6)
    other = {"dataset": "digits", "protocol": "holdout_80_20", "profile": "paper", "normal_class": "0"}
    store.put(make_record(auroc=0.25, method="pca", split="another", **other))
    return api.load("runs")


def test_records_are_chosen_by_what_they_are_of(results: Results) -> None:
    assert len(results) == 37
    assert len(results.filter(method="pca")) == 13
    chosen = results.filter(method=["pca", "knn"], dataset="digits", normal_class=[0, "3"], seed=1, profile="cpu")
    assert {(r.job.label, r.job.normal_class, r.job.seed) for r in chosen} == {
        (label, name, 1) for label in ("pca", "knn") for name in "03"
    }
    assert len(results.filter(profile="paper", normal_class=5)) == 0
    with pytest.raises(BenchError, match="no method with records called 'pcaa'; did you mean pca"):
        results.filter(method="pcaa")
    with pytest.raises(BenchError, match="no class with records called '9'; known: 0, 1, 2, 3, 4, 5"):
        results.filter(normal_class=9)


def test_results_are_a_frame_and_scores_of_single_images(results: Results) -> None:
    frame = results.filter(profile="cpu").frame()
    assert len(frame) == 36
    assert frame["metrics.auroc"].between(0.5, 1).all()
    row = frame[(frame["label"] == "knn") & (frame["normal_class"] == "4") & (frame["seed"] == 1)].iloc[0]
    arrays = results.scores(row["key"][:12])
    assert arrays["labels"].tolist() == LABELS.tolist()
    assert api.load("runs").scores(results.records[0])["scores"].shape == (100,)
    with pytest.raises(BenchError, match="no records have a key starting with 'xyz'"):
        results.scores("xyz")
    with pytest.raises(BenchError, match=r"37 records have a key starting with ''"):
        results.scores("")


def test_a_table_is_text_html_and_numbers(results: Results) -> None:
    table = results.table("quickstart")
    frame = table.frame()
    assert frame.index.tolist() == ["0", "1", "2", "3", "4", "5", "mean"]
    own = [r.metrics["auroc"] for r in results.filter(method="pca", normal_class=2)]
    assert frame.loc["2", "pca"] == np.mean(own)
    assert f"{np.mean(own):.3f}" in repr(table)
    assert "left out: 1 records of digits, holdout_80_20 (version 1), profile paper" in repr(table)
    assert f"{np.mean(own):.3f}" in table._repr_html_()
    assert r"\begin{table*}" in table.text("latex")
    higher = results.table("quickstart", metric="average_precision").frame()
    assert (higher.loc["mean"] < frame.loc["mean"]).all()


def test_without_a_name_a_table_shows_all_there_is_apart(results: Results) -> None:
    of_both = results.table().frame()
    assert [column.split(", ")[2] for column in of_both.columns] == ["profile cpu", "profile paper"]
    assert of_both.iloc[:, 1].dropna().to_dict() == {"pca": 0.25}
    assert results.table(profile="paper").frame().to_dict() == {"pca": {"0": 0.25}}
    with pytest.raises(BenchError, match="no records to show of profile gpu"):
        results.table(profile="gpu")
    html = results._repr_html_()
    assert "37 records (37 done) of ocsvm, pca, knn" in html.replace("knn, ocsvm, pca", "ocsvm, pca, knn")
    assert "0.250" in html
    assert "0 records (none)" in results.filter(profile="paper", normal_class=5)._repr_html_()


def test_statistics_are_frames_and_html(results: Results) -> None:
    stats = results.stats("quickstart")
    assert stats.ranks.index[0] == "ocsvm"
    assert stats.ranks["mean rank"].is_monotonic_increasing
    assert len(stats.pairs) == 3
    assert (stats.pairs["low"] <= stats.pairs["difference"]).all()
    assert "6 blocks" in repr(stats)
    assert "Friedman" in stats._repr_html_()
    with pytest.raises(BenchError, match="a comparison needs two methods or more"):
        results.stats("quickstart", methods="pca")
    intervals = results.filter(profile="cpu").intervals(methods=["pca", "knn"])
    assert len(intervals) == 12
    assert ((intervals["low"] < intervals["auroc"]) & (intervals["auroc"] <= intervals["high"])).all()
    assert results.intervals("quickstart", methods=["pca", "knn"])["auroc"].tolist() == intervals["auroc"].tolist()


def test_figures_are_matplotlibs_and_seen_in_a_notebook(results: Results) -> None:
    from IPython.core.formatters import DisplayFormatter
    from matplotlib.figure import Figure

    display = DisplayFormatter(active_types=["image/svg+xml"])  # type: ignore[no-untyped-call]
    for kind, options in (
        ("roc", {"normal_class": 4}),
        ("heatmap", {}),
        ("histogram", {"methods": "pca", "normal_class": 4}),
        ("critical-difference", {}),
    ):
        figure = results.figure(kind, "quickstart", **options)  # type: ignore[arg-type]
        assert isinstance(figure, Figure)
        shown, _ = display.format(figure)
        assert "<svg" in shown["image/svg+xml"]
    one, two = (results.filter(profile="cpu").figure("roc", normal_class=n) for n in (1, 4))
    assert one.axes[0].lines[1].get_ydata().tolist() != two.axes[0].lines[1].get_ydata().tolist()


def test_figures_that_cannot_be_are_refused_with_a_reason(results: Results) -> None:
    for arguments, options, reason in (
        (("rco", "quickstart"), {}, "no kind of figure called 'rco'; did you mean roc"),
        (
            ("histogram", "quickstart"),
            {},
            r"3 figures are 'histogram'; name one suite or dataset, and one of methods=:\n",
        ),
        (("roc", "quickstart"), {"normal_class": 9}, "no class with records called '9'"),
        (("training", "quickstart"), {"methods": "pca"}, "no losses or AUROC by epoch"),
        (("samples", "quickstart"), {}, "is not what it was when the records were made"),
        (("choice", "quickstart"), {}, "no method is traced on every class"),
        (("roc", "mnist"), {}, "no records for mnist"),
    ):
        with pytest.raises(BenchError, match=reason):
            results.figure(*arguments, **options)  # type: ignore[arg-type]


def test_every_figure_of_a_suite_is_of_a_known_kind(results: Results) -> None:
    cpu = results.filter(profile="cpu")
    workspace = cpu.workspace
    selection = select(cpu.records, lambda record: True)
    gallery = Gallery("quick-start", selection, ["pca", "knn"], "0", score_reader(workspace))
    images = gallery.images(workspace.dataset(parse_spec("digits")))
    kinds = {drawing.kind for drawing in [*gallery.methods(KINDS), *gallery.runs(), *images]}
    assert kinds == set(KINDS) - {"critical-difference", "maps"}, "one suite has no ranks, and digits have no masks"


def test_a_folder_without_records_is_refused(project: Project) -> None:
    with pytest.raises(BenchError, match=r"no records in nowhere; make them with bench\.run"):
        api.load("nowhere")

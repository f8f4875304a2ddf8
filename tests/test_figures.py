"""Figures from records: what is drawn, names that are no mathematics, sizes for print, files; bench figures."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli import python_prints
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from projects import Project, invoked
from records import make_record, put_quickstart, put_scored, scored

from bench.cli.figures import figures
from bench.errors import BenchError
from bench.record import Record
from bench.report.figures.budget import auroc_by_steps, budgets
from bench.report.figures.choice import CHOICES, auroc_by_choice, choices
from bench.report.figures.curves import roc_curves, score_histogram, training_curves
from bench.report.figures.methods import cost, heatmap, seed_spread
from bench.report.figures.ranks import critical_difference
from bench.report.figures.style import COLUMN, PAGE, look, save
from bench.report.selection import Selection, renamed, select
from bench.report.statistics.ranking import blocks, rank_methods
from bench.store import Store

LABELS = np.repeat([0, 1], [20, 60]).astype(np.uint8)
ODD = "a_b(x='50% & #1 $y_z$ {w^2}')"
LONG = "_shared_ae(variant='one_ede', epochs=30, width=16, latent=32, batch_size=16)"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Holds the scores of ``selection``."""
    return Store(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def selection(store: Store) -> Selection:
    """Three methods on six classes, two seeds each; one record failed."""
    records = [
        put_scored(
            store,
            LABELS,
            scored(LABELS, 2 - place / 2, 100 * place + 2 * number + seed),
            method=method.partition("(")[0],
            label=method,
            normal_class=str(number),
            normal_label=number,
            seed=seed,
            cost={"fit_seconds": 10.0**place, "parameters": None if place == 1 else 1000 * (place + 1)},
        )
        for place, method in enumerate(("vae", "ocsvm", ODD))
        for number in range(6)
        for seed in (0, 1)
    ]
    return chosen(*records, make_record(method="ocsvm", normal_class="5", seed=2, status="failed"))


def chosen(*records: Record) -> Selection:
    return select(records, lambda record: True)


def unbroken(text: str) -> str:
    """A text of a figure as it was before it was broken into lines."""
    return text.replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ").replace(r"\$", "$")


def legend(figure: Figure) -> list[str]:
    (found,) = figure.legends
    return [unbroken(text.get_text()) for text in found.get_texts()]


def drawn(figure: Figure) -> Axes:
    return figure.axes[0]


def means(selection: Selection, label: str) -> dict[str, float]:
    """Mean AUROC over seeds by class, counted anew."""
    found: dict[str, list[float]] = {}
    for record in selection.records:
        if record.job.label == label and record.status == "done":
            found.setdefault(record.job.normal_class, []).append(record.metrics["auroc"])
    return {name: float(np.mean(values)) for name, values in found.items()}


# ---------------------------------------------------------------------------------------------------------------------
# What is drawn


def test_roc_curves_have_a_line_for_each_method_and_its_mean_auc_in_the_legend(
    selection: Selection, store: Store
) -> None:
    figure = roc_curves(selection, "3", store.scores, ["ocsvm", "vae"])
    order = ["ocsvm", "vae", ODD]
    assert legend(figure) == [f"{label}, AUC {means(selection, label)['3']:.3f}" for label in order]
    assert figure.legends[0].get_title().get_text() == "normal class 3, mean over 2 seeds"
    chance, *lines = drawn(figure).lines
    assert chance.get_xydata().tolist() == [[0, 0], [1, 1]]  # type: ignore[union-attr]
    assert len(lines) == 3
    for line, label in zip(lines, order, strict=True):
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        assert (np.diff(y) >= 0).all()
        assert np.trapezoid(y, x) == pytest.approx(means(selection, label)["3"], abs=0.005)
    assert (drawn(figure).get_xlabel(), drawn(figure).get_ylabel()) == ("false positive rate", "true positive rate")


def test_a_perfect_detector_has_a_curve_through_the_corner(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = put_scored(store, LABELS, LABELS.astype(float))
    figure = roc_curves(chosen(record), "3", store.scores)
    assert legend(figure) == ["ocsvm, AUC 1.000"]
    assert figure.legends[0].get_title().get_text() == "normal class 3"
    assert np.trapezoid(*np.asarray(drawn(figure).lines[1].get_xydata()).T[::-1]) == pytest.approx(1)


def test_roc_curves_of_a_class_without_a_good_run_are_refused(store: Store) -> None:
    with pytest.raises(BenchError, match="no record of class 3 ended well"):
        roc_curves(chosen(make_record(status="failed")), "3", store.scores)


def test_the_heatmap_shows_the_means_over_seeds_and_their_mean_over_classes(selection: Selection) -> None:
    figure = heatmap(selection, ["vae"])
    (image,) = drawn(figure).images
    values = np.asarray(image.get_array())
    for column, label in enumerate(["vae", "ocsvm", ODD]):
        own = list(means(selection, label).values())
        assert values[:, column] == pytest.approx([*own, np.mean(own)])
    assert [text.get_text() for text in drawn(figure).get_yticklabels()] == [*"012345", "mean"]
    assert [text.get_text() for text in drawn(figure).texts] == [f"{value:.3f}" for value in values.ravel()]
    assert drawn(figure).get_ylabel() == "normal class"


def test_an_empty_cell_of_the_heatmap_is_a_dash() -> None:
    records = [make_record(method=method, normal_class=name) for method, name in ("a1", "a2", "b1")]
    figure = heatmap(chosen(*records))
    assert [text.get_text() for text in drawn(figure).texts] == ["0.900", "0.900", "0.900", "–", "0.900", "–"]
    with pytest.raises(BenchError, match="no record ended well"):
        heatmap(chosen(make_record(status="failed")))


def test_the_spread_has_a_ring_for_each_seed_and_a_bar_at_their_mean() -> None:
    aurocs = {("a", "1"): (0.7, 0.9), ("a", "2"): (0.5, 0.6), ("b", "1"): (0.8,), ("b", "2"): (0.6,), ("c", "1"): (1,)}
    records = [
        make_record(method=method, normal_class=name, seed=seed, auroc=value)
        for (method, name), values in aurocs.items()
        for seed, value in enumerate(values)
    ]
    figure = seed_spread(chosen(*records))
    rings, bars = drawn(figure).lines[::2], drawn(figure).lines[1::2]
    assert [np.asarray(ring.get_xdata()).tolist() for ring in rings] == [pytest.approx([0.6, 0.75]), [0.7]]
    assert [np.asarray(bar.get_xdata()).tolist() for bar in bars] == [[pytest.approx(0.675)] * 2, [0.7] * 2]
    names = [text.get_text() for text in drawn(figure).get_yticklabels()]
    assert names == ["a", "b"], "c has no seed with both classes"
    with pytest.raises(BenchError, match="no method has two seeds on every class; run more with --seeds"):
        seed_spread(chosen(*(record for record in records if record.job.method != "a")))


def test_cost_has_a_point_for_each_method_whose_cost_is_known(selection: Selection) -> None:
    figure = cost(selection, ["vae", "ocsvm"])
    assert legend(figure) == ["vae", "ocsvm", ODD]
    time, parameters = figure.axes
    assert [float(np.asarray(line.get_xdata())[0]) for line in time.lines] == [1, 10, 100]
    assert [float(np.asarray(line.get_xdata())[0]) for line in parameters.lines] == [1000, 3000]
    overall = [float(np.mean(list(means(selection, label).values()))) for label in ("vae", "ocsvm", ODD)]
    assert [float(np.asarray(line.get_ydata())[0]) for line in time.lines] == pytest.approx(overall)
    assert [float(np.asarray(line.get_ydata())[0]) for line in parameters.lines] == pytest.approx(overall[::2])
    assert time.lines[2].get_marker() == parameters.lines[1].get_marker(), "a method looks alike in both"
    assert (time.get_xscale(), parameters.get_xscale()) == ("log", "log")
    with pytest.raises(BenchError, match="and a cost"):
        cost(chosen(make_record()))


def test_a_method_that_used_outside_data_is_hollow_and_named_so() -> None:
    cost_of = {"fit_seconds": 10.0}
    plain = dataclasses.replace(make_record(method="vae"), cost=cost_of)
    helped = dataclasses.replace(make_record(method="padim"), cost=cost_of, ledger={"used": ["weights of ImageNet"]})
    figure = cost(chosen(plain, helped), ["vae", "padim"])
    assert legend(figure) == ["vae", "padim, outside data"]
    assert [line.get_fillstyle() for line in drawn(figure).lines] == ["full", "none"]


def traced(label: str, last: float, best: float, by_batch: float | None = None, **job: Any) -> Record:
    """A traced record with a better epoch before the last."""
    epochs = [{"epoch": 1, "auroc": best}, {"epoch": 2, "auroc": last}]
    if by_batch is not None:
        epochs[1]["auroc_by_batch"] = by_batch
        for epoch, gained in zip(epochs, (0.15, 0.05), strict=True):
            epoch["auroc_by_sorted_batch"] = by_batch + gained
    return dataclasses.replace(
        make_record(method=label, auroc=last, **job), cost={"steps": 9}, traced=True, epochs=epochs
    )


def test_what_the_test_set_can_choose_is_shown_beside_the_last_epoch_of_traced_records() -> None:
    records = [
        *(traced("a", 0.6, 0.8, 0.7, normal_class=name) for name in "12"),
        *(traced("b", 0.5, 0.5, normal_class=name) for name in "12"),
        *(make_record(method="a", auroc=0.9, normal_class=name, seed=1) for name in "12"),
        traced("c", 0.5, 0.5, normal_class="1"),
    ]
    last, best, batch, by_kind, best_by_kind = CHOICES.values()
    found = choices(chosen(*records))
    assert found == {
        "a": pytest.approx({last: 0.6, best: 0.8, batch: 0.7, by_kind: 0.75, best_by_kind: 0.85}),
        "b": pytest.approx({last: 0.5, best: 0.5}),
    }
    figure = auroc_by_choice(chosen(*records))
    assert legend(figure) == [last, best, batch, by_kind, best_by_kind]
    assert [text.get_text() for text in drawn(figure).get_yticklabels()] == ["a", "b"]
    points = [line for line in drawn(figure).lines if line.get_marker() not in ("None", None, "")]
    assert [float(np.asarray(line.get_xdata())[0]) for line in points] == pytest.approx(
        [0.6, 0.8, 0.7, 0.75, 0.85, 0.5, 0.5]
    )
    with pytest.raises(BenchError, match="bench run --trace"):
        auroc_by_choice(chosen(make_record()))


def test_the_same_method_trained_for_longer_is_one_line() -> None:
    reached = {("a", 100): (0.7, 0.8), ("a(min_steps=400)", 400): (0.9,), ("a(epochs=9,width=2)", 50): (0.6,)}
    records = [
        dataclasses.replace(
            make_record(method="a", label=label, normal_class=name, seed=seed, auroc=value), cost={"steps": steps}
        )
        for (label, steps), values in reached.items()
        for seed, value in enumerate(values)
        for name in "12"
    ]
    figure = auroc_by_steps(chosen(*records))
    assert legend(figure) == ["a"], "of the wider one nobody knows a second budget"
    line = next(line for line in drawn(figure).lines if len(np.asarray(line.get_xdata())) == 2)
    assert np.asarray(line.get_xdata()).tolist() == [100, 400]
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([0.75, 0.9])
    assert [text.get_text() for text in drawn(figure).get_xticklabels()] == ["100", "400"]
    (few, _) = budgets(chosen(*records))["a"]
    of_ones_own = renamed(records, {"a": "plain", "a(min_steps=400)": "long one"})
    assert list(budgets(chosen(*of_ones_own), ["plain"])) == ["plain"], "one method still, though no name tells"
    assert few.margin == pytest.approx(12.706 * 0.05, rel=1e-3), "Student's t with one degree of freedom"
    with pytest.raises(BenchError, match=r"no method has two budgets.*min_steps"):
        auroc_by_steps(chosen(*records[:4]))


def test_the_histogram_holds_every_image_of_either_kind(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = put_scored(store, LABELS, scored(LABELS, 2, 0))
    figure = score_histogram(record, store.scores)
    assert legend(figure) == ["normal (20 images)", "anomalous (60 images)"]
    bars = [patch for patch in drawn(figure).patches if hasattr(patch, "get_height")]
    assert sum(bar.get_height() * bar.get_width() for bar in bars) == pytest.approx(1)
    assert unbroken(figure.get_suptitle()) == f"ocsvm, normal class 3, seed 0, AUROC {record.metrics['auroc']:.3f}"


def epochs(*trace: float | None) -> list[dict[str, Any]]:
    """Epochs with two losses, the second only from the second epoch on."""
    found: list[dict[str, Any]] = []
    for number, value in enumerate(trace, start=1):
        losses = {"image": 1 / number, **({"code": 2 / number} if number > 1 else {})}
        found.append({"epoch": number, "losses": losses, **({} if value is None else {"auroc": value})})
    return found


def test_training_curves_mark_the_last_and_the_best_epoch() -> None:
    record = dataclasses.replace(make_record(auroc=0.7), epochs=epochs(None, 0.6, 0.9, 0.7), traced=True)
    figure = training_curves(record)
    losses, trace = figure.axes
    image, code = losses.lines
    assert np.asarray(image.get_ydata()).tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert np.asarray(code.get_ydata()).tolist() == pytest.approx([np.nan, 1, 2 / 3, 1 / 2], nan_ok=True)
    assert losses.get_yscale() == "log"
    line, last, best = (np.asarray(drawn.get_xydata()).tolist() for drawn in trace.lines)
    assert line == [[2, 0.6], [3, 0.9], [4, 0.7]]
    assert (last, best) == ([[4, 0.7]], [[3, 0.9]])
    assert legend(figure) == [
        "image",
        "code",
        "test AUROC",
        "last epoch (4): 0.700",
        "oracle, best epoch (3): 0.900",
    ]


def test_training_curves_show_a_candidate_that_beats_every_epoch() -> None:
    record = dataclasses.replace(
        make_record(auroc=0.7),
        epochs=epochs(0.8, 0.7),
        traced=True,
        oracle_candidates=[{"parameters": {}, "auroc": 0.95}],
    )
    figure = training_curves(record)
    assert legend(figure)[-2:] == ["oracle, best epoch (1): 0.800", "oracle, best candidate: 0.950"]
    assert np.asarray(figure.axes[1].lines[-1].get_ydata()).tolist() == [0.95, 0.95]


def test_training_curves_without_a_trace_are_losses_alone_and_a_loss_below_zero_is_not_logarithmic() -> None:
    record = dataclasses.replace(make_record(), epochs=[{"epoch": 1, "losses": {"critic": -1.0}}])
    figure = training_curves(record)
    assert len(figure.axes) == 1
    assert figure.axes[0].get_yscale() == "linear"
    assert legend(figure) == ["critic"]
    with pytest.raises(BenchError, match="no losses or AUROC by epoch"):
        training_curves(make_record())


def test_the_critical_difference_diagram_names_every_method_with_its_rank(selection: Selection) -> None:
    comparison = rank_methods(blocks([selection]))
    texts = " ".join(text.get_text() for text in drawn(critical_difference(comparison)).texts)
    for label, rank in comparison.ranks.items():
        assert f"({rank:.2f})" in texts
        assert str(label) in unbroken(texts)
    with pytest.raises(BenchError, match="needs three methods"):
        critical_difference(rank_methods(blocks([selection], ["vae", "ocsvm"])))


def test_methods_are_told_apart_without_colours_and_forty_are_with_them() -> None:
    assert len({(str(look(place).color), str(look(place).linestyle)) for place in range(40)}) == 40
    for place in range(40):
        one, other = look(place), look(place + 1)
        assert all(a != b for a, b in zip(one, other, strict=True))


# ---------------------------------------------------------------------------------------------------------------------
# On paper


@pytest.mark.parametrize("odd", [ODD, LONG], ids=["mathematics", "long"])
def test_every_figure_fits_the_paper_and_is_legible(selection: Selection, store: Store, odd: str) -> None:
    renamed = []
    for record in selection.records:
        job = record.job
        label = odd if job.label == ODD else job.label
        kept = dataclasses.replace(record, job=dataclasses.replace(job, label=label), epochs=epochs(0.5), traced=True)
        renamed.append(kept)
    same = chosen(*renamed)
    last = next(record for record in renamed if record.job.label == odd)
    made = {
        "roc": roc_curves(same, "3", lambda record: store.scores(selection.records[renamed.index(record)])),
        "heatmap": heatmap(same),
        "seeds": seed_spread(same),
        "cost": cost(same),
        "scores": score_histogram(last, lambda _: store.scores(selection.records[0])),
        "training": training_curves(last),
        "ranks": critical_difference(rank_methods(blocks([same]))),
    }
    for name, figure in made.items():
        figure.draw_without_rendering()
        assert figure.get_figwidth() in (COLUMN, PAGE)
        for text in figure.findobj(Text):
            if text.get_text() and text.get_visible():  # type: ignore[attr-defined]
                assert text.get_fontsize() >= 8, (name, text)  # type: ignore[attr-defined]
        assert all(len(found.get_texts()) == len(found.legend_handles) for found in figure.legends)
        for artist in [*figure.axes, *figure.legends]:
            box = artist.get_tightbbox()
            assert box is not None
            assert min(box.x0, box.y0) >= -1, (name, artist)
            assert box.x1 <= figure.bbox.x1 + 1, (name, artist)
            assert box.y1 <= figure.bbox.y1 + 1, (name, artist)


def test_a_figure_is_written_as_pdf_and_png_and_alike_twice(selection: Selection, tmp_path: Path) -> None:
    figure = cost(selection)
    pdf, png = save(figure, tmp_path / "one", "cost")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert len(pdf.read_bytes()) > 4000
    with Image.open(png) as image:
        assert image.width == pytest.approx(300 * PAGE, abs=1)
        assert len(image.convert("L").getcolors() or []) > 10
    again = save(cost(selection), tmp_path / "two", "cost")
    assert [path.read_bytes() for path in again] == [pdf.read_bytes(), png.read_bytes()]


def test_a_folder_that_takes_no_files_is_answered_with_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="name another folder with --out"):
        save(Figure((1, 1)), tmp_path / "file", "name")


# ---------------------------------------------------------------------------------------------------------------------
# bench figures


@pytest.fixture
def draw(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``bench figures``, in coarse dots, in a folder with records of three methods on six digits, two seeds each."""
    monkeypatch.setattr("bench.report.figures.style.RESOLUTION", 50)
    own = {
        method: {"cost": {"fit_seconds": 1.0 + place, "parameters": None}}
        for place, method in enumerate(("ocsvm", "pca", "vae"))
    }
    own["vae"]["epochs"] = epochs(None, None)
    put_quickstart(Store(project.root / "results/runs"), LABELS, own, classes=6)
    return invoked(figures)


def test_bench_figures_writes_what_it_names_and_says_what_it_leaves_out(
    draw: Callable[..., Any], project: Project
) -> None:
    ended = draw("quickstart", "--class", "4", "--methods", "vae,ocsvm")
    written = ended.stdout.split()
    stems = [
        "roc-4",
        "heatmap",
        "seeds",
        "cost",
        "histogram-vae-4-seed0",
        "training-vae-4-seed0",
        "histogram-ocsvm-4-seed0",
    ]
    assert written == [f"figures/quickstart-{stem}.{kind}" for stem in stems for kind in ("pdf", "png")]
    assert sorted(path.name for path in (project.root / "figures").iterdir()) == sorted(p[8:] for p in written)
    assert "left out: quickstart-training-ocsvm-4-seed0: no losses or AUROC by epoch" in ended.stderr
    assert "left out: quickstart-training-vae-4-seed0: the test AUROC: not traced; bench run --trace" in ended.stderr
    assert "left out: quickstart-critical-difference: a critical-difference diagram needs three methods" in ended.stderr


def test_bench_figures_draws_ranks_of_three_methods_and_goes_on_without_lost_scores(
    draw: Callable[..., Any], project: Project
) -> None:
    for path in (project.root / "results/runs").glob("digits/*/*/*.npz"):
        if "ocsvm" not in path.parts:
            path.unlink()
    ended = draw("quickstart", "--out", "paper/fig", "--methods", "pca,ocsvm,vae")
    assert "paper/fig/quickstart-critical-difference.pdf" in ended.stdout
    assert (project.root / "paper/fig/quickstart-critical-difference.png").stat().st_size > 2000
    assert "quickstart-roc" not in ended.stdout
    assert "left out: quickstart-roc-0: scores " in ended.stderr
    assert "left out: quickstart-histogram-pca-0-seed0: scores " in ended.stderr
    assert "quickstart-histogram-ocsvm-0-seed0.png" in ended.stdout


def test_bench_figures_refuses_with_a_reason(draw: Callable[..., Any], project: Project) -> None:
    for arguments, reason in (
        (("quickstart", "--class", "9"), r"no class with records called '9'; .*0, 1, 2, 3, 4, 5"),
        (("quickstart", "--methods", "knn"), "no method with records called 'knn'"),
        (("mnist",), "no records for mnist in"),
        (("quickstat",), "did you mean quickstart"),
    ):
        with pytest.raises(BenchError, match=reason):
            draw(*arguments)
    assert not (project.root / "figures").exists()


def test_bench_figures_of_failed_runs_alone_is_refused(draw: Callable[..., Any], project: Project) -> None:
    failed = {"dataset": "digits", "protocol": "holdout_80_20", "profile": "cpu", "normal_class": "0"}
    Store(project.root / "elsewhere").put(make_record(status="failed", **failed))
    with pytest.raises(BenchError, match="allow no figure, for the reasons above; bench status"):
        draw("quickstart", "--results", "elsewhere")


def test_importing_the_command_does_not_import_matplotlib(tmp_path: Path) -> None:
    code = "import sys, bench.cli.figures; print([name for name in ('matplotlib', 'pandas') if name in sys.modules])"
    assert python_prints("-c", code, folder=tmp_path, python=sys.executable) == "[]\n"

"""Figures that show images: which ones, in which order, with which scores and frames; what has to be at hand."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox
from projects import Project, invoked
from records import make_record
from splits import protocol
from typer.testing import CliRunner

from bench.cli import app
from bench.cli.figures import figures
from bench.dataset import PreparedDataset
from bench.errors import BenchError, DataMissing
from bench.protocol import Split
from bench.record import Record
from bench.report.figures.pictures import extremes, mistakes, reconstructions, sample_sheet
from bench.report.figures.style import PAGE
from bench.report.request import recorded_dataset
from bench.report.selection import Selection, select
from bench.specs import parse_spec
from bench.store import Store
from bench.workspace import Workspace, open_workspace

FOUR = np.array([0, 0, 1, 1], np.uint8)


@pytest.fixture(scope="module")
def workspace(digits_data: Path) -> Workspace:
    return open_workspace(data=digits_data)


@pytest.fixture(scope="module")
def digits(workspace: Workspace) -> PreparedDataset:
    return workspace.dataset(parse_spec("digits"))


@pytest.fixture(scope="module")
def split(digits: PreparedDataset) -> Split:
    return protocol("holdout_80_20").split(digits, "3", 0)


def in_memory(images: np.ndarray, labels: Sequence[int], classes: Sequence[str]) -> PreparedDataset:
    return PreparedDataset(
        "made", "made", "c" * 64, tuple(classes), None, Path(), images, np.array(labels, dtype=np.int64), None
    )


def put(store: Store, labels: np.ndarray, scores: Any, indices: Any, further: Any = None, **facts: Any) -> Record:
    """A record with these arrays in the store, as it is read again."""
    record = make_record(**facts)
    store.put(record, {"scores": np.array(scores), "labels": labels, "indices": np.array(indices), **(further or {})})
    found = store.get(record.job)
    assert found is not None
    return found


def chosen(*records: Record) -> Selection:
    return select(records, lambda record: True)


def sheet(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def rows(figure: Figure) -> list[list[AxesImage]]:
    """The images of a figure, row by row from above, each from the left."""
    placed = sorted(sheet(figure).images, key=lambda image: (image.get_extent()[3], image.get_extent()[0]))
    return [list(row) for _, row in itertools.groupby(placed, key=lambda image: image.get_extent()[3])]


def pixels(image: AxesImage) -> np.ndarray:
    """An image as the dataset has it."""
    drawn = np.asarray(image.get_array())
    return drawn if drawn.ndim == 3 else drawn[..., np.newaxis]


def same(images: Sequence[AxesImage], wanted: np.ndarray) -> bool:
    return np.array_equal(np.array([pixels(image) for image in images]), wanted)


def under(figure: Figure, image: AxesImage) -> str:
    """The first text whose middle is below the middle of an image."""
    left, right, bottom, _ = image.get_extent()
    texts = [t for t in sheet(figure).texts if t.get_position()[0] == pytest.approx((left + right) / 2)]
    return str(min((t for t in texts if t.get_position()[1] > bottom), key=lambda t: t.get_position()[1]).get_text())


def frames(figure: Figure) -> list[Bbox]:
    return [patch.get_bbox() for patch in sheet(figure).patches if isinstance(patch, Rectangle)]


def framed(figure: Figure, image: AxesImage) -> bool:
    left, right, bottom, top = image.get_extent()
    return any(
        frame.xmin < left < right < frame.xmax and frame.ymin < top < bottom < frame.ymax for frame in frames(figure)
    )


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in sheet(figure).texts]


# ---------------------------------------------------------------------------------------------------------------------
# Samples


def test_a_sample_sheet_has_a_row_of_each_class_s_own_images_in_their_order(digits: PreparedDataset) -> None:
    figure = sample_sheet(chosen(make_record()), digits)
    assert texts(figure) == list("0123456789")
    found = rows(figure)
    for number, row in enumerate(found):
        own = digits.images[digits.labels == number]
        places = [int(np.flatnonzero((own == pixels(image)).all(axis=(1, 2, 3)))[0]) for image in row]
        assert len(places) == 10
        assert (places[0], places[-1]) == (0, len(own) - 1)
        assert set(np.diff(places)) <= {len(own) // 10 + extra for extra in (0, 1, 2, 3)}, "evenly spaced"
        _, _, bottom, top = row[0].get_extent()
        assert top < sheet(figure).texts[number].get_position()[1] < bottom
    assert len(found) == 10


def test_of_more_than_ten_classes_those_that_have_records_are_shown() -> None:
    images = np.random.default_rng(0).integers(0, 256, (36, 4, 8, 3), dtype=np.uint8)
    made = in_memory(images, [n % 12 for n in range(36)], [f"c{n}" for n in range(12)])
    numbers = (7, 2, 11)
    records = [make_record(normal_class=f"c{n}", normal_label=n) for n in numbers]
    figure = sample_sheet(chosen(*records), made)
    assert texts(figure) == ["c2", "c7", "c11"]
    for row, number in zip(rows(figure), (2, 7, 11), strict=True):
        assert same(row, images[number::12])
        for image in row:
            left, right, bottom, top = image.get_extent()
            assert right - left == pytest.approx(2 * (bottom - top)), "twice as wide as high"
    everything = [make_record(normal_class=f"c{n}", normal_label=n) for n in range(12)]
    assert texts(sample_sheet(chosen(*everything), made)) == [f"c{n}" for n in range(10)]


def test_of_categories_with_many_classes_the_images_of_each_category_are_shown() -> None:
    images = np.random.default_rng(0).integers(0, 256, (36, 4, 4, 1), dtype=np.uint8)
    made = in_memory(images, [n % 12 for n in range(36)], [f"c{n}/good" for n in range(12)])
    made = dataclasses.replace(made, superclasses=tuple("nut" if n < 5 else "screw" for n in range(12)))
    records = [make_record(normal_class=name, normal_label=number) for name, number in (("screw", 5), ("nut", 0))]
    figure = sample_sheet(chosen(*records), made)
    assert texts(figure) == ["nut", "screw"]
    nuts = images[np.arange(36) % 12 < 5]
    assert len(rows(figure)[0]) == 10
    assert same([rows(figure)[0][0], rows(figure)[0][-1]], nuts[[0, -1]])
    assert texts(sample_sheet(chosen(make_record(normal_class="not c3/good", normal_label=3)), made))[0] == "c0/good"


def test_a_large_image_is_drawn_in_no_more_pixels_than_print_shows() -> None:
    large = np.random.default_rng(0).integers(0, 256, (2, 900, 600, 1), dtype=np.uint8)
    small = np.random.default_rng(0).integers(0, 256, (2, 60, 40, 1), dtype=np.uint8)
    for images, kept in ((large, False), (small, True)):
        ((first,), _) = rows(sample_sheet(chosen(make_record()), in_memory(images, [0, 1], "ab")))
        height, width, _ = pixels(first).shape
        assert height == pytest.approx(1.5 * width, abs=1)
        assert (height, width) == (60, 40) if kept else 100 < height < 200


# ---------------------------------------------------------------------------------------------------------------------
# Extremes


def test_extremes_are_the_highest_and_the_lowest_scores_in_order_each_over_its_score(
    digits: PreparedDataset, split: Split, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    scores = np.random.default_rng(0).permutation(len(split.test)) / 10
    record = put(store, split.test_labels, scores, split.test)
    figure = extremes(record, store.scores, digits)
    order = np.argsort(scores)
    high, low = rows(figure)
    assert same(high, digits.images[split.test[order[::-1][:10]]])
    assert same(low, digits.images[split.test[order[:10]]])
    assert [float(under(figure, image)) for image in high] == pytest.approx(sorted(scores, reverse=True)[:10])
    assert [float(under(figure, image)) for image in low] == pytest.approx(sorted(scores)[:10])
    assert texts(figure)[0] == "ocsvm, normal class 3, seed 0"
    for heading, row in (("most anomalous", high), ("most normal", low)):
        (text,) = (text for text in sheet(figure).texts if text.get_text() == heading)
        assert 0 < row[0].get_extent()[3] - text.get_position()[1] < 0.3, "the heading stands over its row"


def test_a_frame_is_around_each_image_on_the_wrong_side_and_no_other(
    digits: PreparedDataset, split: Split, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    scores = split.test_labels + np.linspace(0, 0.5, len(split.test))
    flawless = extremes(put(store, split.test_labels, scores, split.test), store.scores, digits)
    assert frames(flawless) == []
    assert not any("framed" in text for text in texts(flawless))
    normal, anomalous = np.flatnonzero(split.test_labels == 0), np.flatnonzero(split.test_labels == 1)
    scores[normal[[4, 7]]] = 9, 8
    scores[anomalous[5]] = -1
    figure = extremes(put(store, split.test_labels, scores, split.test), store.scores, digits)
    high, low = rows(figure)
    assert [framed(figure, image) for image in high] == [True, True] + 8 * [False]
    assert [framed(figure, image) for image in low] == [True] + 9 * [False]
    assert len(frames(figure)) == 4, "the fourth is the legend's"
    assert texts(figure)[-1].startswith("framed: a normal image among the most anomalous")


def test_no_image_of_a_small_test_set_is_in_both_rows(digits: PreparedDataset, tmp_path: Path) -> None:
    store = Store(tmp_path)
    figure = extremes(put(store, FOUR, [0.1, 0.4, 0.3, 0.2], [10, 11, 12, 13]), store.scores, digits)
    high, low = rows(figure)
    assert same(high, digits.images[[11, 12]])
    assert same(low, digits.images[[10, 13]])


@pytest.mark.parametrize(
    ("scores", "shown"),
    [
        ([0.0, 0.11, 0.12, 0.5], ["0.500", "0.120", "0.000", "0.110"]),
        ([-1234.5, -7.0, 20.0, 2345.6], ["2346", "20", "−1234", "−7"]),
        ([1e-9, 2e-9, 3e-9, 4e-9], ["4.0e−09", "3.0e−09", "1.0e−09", "2.0e−09"]),
        ([2.0, 2.0, 2.0, 2.0], ["2.00", "2.00", "2.00", "2.00"]),
    ],
    ids=["small", "large and negative", "tiny", "all alike"],
)
def test_scores_are_written_so_that_they_differ_and_fit_under_an_image(
    digits: PreparedDataset, tmp_path: Path, scores: list[float], shown: list[str]
) -> None:
    store = Store(tmp_path)
    figure = extremes(put(store, FOUR, scores, [10, 11, 12, 13]), store.scores, digits)
    assert [under(figure, image) for row in rows(figure) for image in row] == shown


def test_mistakes_are_the_anomalies_scored_lowest_and_the_normal_images_scored_highest_worst_first(
    digits: PreparedDataset, split: Split, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    scores = split.test_labels + np.random.default_rng(0).permutation(len(split.test)) / len(split.test)
    figure = mistakes(put(store, split.test_labels, scores, split.test), store.scores, digits)
    missed, alarms = rows(figure)
    anomalous, normal = (np.flatnonzero(split.test_labels == label) for label in (1, 0))
    assert same(missed, digits.images[split.test[anomalous[np.argsort(scores[anomalous])[:10]]]])
    assert same(alarms, digits.images[split.test[normal[np.argsort(-scores[normal])[:10]]]])
    assert [float(under(figure, image)) for image in missed] == pytest.approx(
        np.sort(scores[anomalous])[:10], abs=0.006
    )
    assert {"anomalies scored lowest", "normal images scored highest"} < set(texts(figure))
    assert frames(figure) == []


def test_of_few_images_mistakes_are_all(digits: PreparedDataset, tmp_path: Path) -> None:
    store = Store(tmp_path)
    labels = np.array([0, 0, 0, 1], np.uint8)
    figure = mistakes(put(store, labels, [0.1, 0.4, 0.3, 0.2], [10, 11, 12, 13]), store.scores, digits)
    missed, alarms = rows(figure)
    assert same(missed, digits.images[[13]])
    assert same(alarms, digits.images[[11, 12, 10]])


# ---------------------------------------------------------------------------------------------------------------------
# Reconstructions


def test_reconstructions_stand_below_their_originals_over_their_scores_the_normal_ones_first(
    digits: PreparedDataset, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    made = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 1), dtype=np.uint8)
    kept = {"reconstructed": made, "reconstructed_indices": np.array([40, 20, 30])}
    record = put(store, FOUR, [0.1, 0.4, 0.3, 0.2], [10, 20, 30, 40], kept)
    figure = reconstructions(record, store.scores, digits)
    above, below = rows(figure)
    assert same(above, digits.images[[20, 40, 30]]), "20 is normal"
    assert same(below, made[[1, 0, 2]])
    assert [image.get_extent()[:2] for image in above] == [image.get_extent()[:2] for image in below]
    assert [under(figure, image) for image in below] == ["0.400", "0.200", "0.300"]
    places = {text.get_text(): text.get_position()[0] for text in sheet(figure).texts}
    assert above[0].get_extent()[0] == pytest.approx(places["normal"])
    assert places["anomalous"] == pytest.approx(above[1].get_extent()[0])
    assert "ocsvm, normal class 3, seed 0" in places


def test_a_record_without_reconstructions_is_refused(digits: PreparedDataset, tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(BenchError, match="it stored no reconstructions"):
        reconstructions(put(store, FOUR, [1.0, 2.0, 3.0, 4.0], [1, 2, 3, 4]), store.scores, digits)


# ---------------------------------------------------------------------------------------------------------------------
# On paper


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 16, 3), (16, 9, 3)], ids=["square", "wide", "high"])
def test_texts_and_images_stand_apart_on_the_page(shape: tuple[int, ...], tmp_path: Path) -> None:
    count = 60
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    names = ["a class of which the name is long, $x_1$ & more", *(f"class {n}" for n in range(1, 10))]
    made = in_memory(images, [n % 10 for n in range(count)], names)
    labels = (made.labels != 0).astype(np.uint8)
    kept = {"reconstructed": images[:8], "reconstructed_indices": np.r_[0:50:10, 1:4]}
    store = Store(tmp_path)
    label = "_shared_ae(variant='one_ede', epochs=30, width=16, latent=32, batch_size=16, schedule_floor=0.25)"
    scores = -1e-9 * np.random.default_rng(0).random(count)
    record = put(store, labels, scores, np.arange(count), kept, method="vae", label=label, normal_class=names[0])
    for figure in (
        sample_sheet(chosen(record), made),
        extremes(record, store.scores, made),
        mistakes(record, store.scores, made),
        reconstructions(record, store.scores, made),
    ):
        assert figure.get_figwidth() == PAGE
        figure.draw_without_rendering()
        axes = sheet(figure)
        assert all(text.get_fontsize() == 8 for text in axes.texts)
        letters = [text.get_window_extent() for text in axes.texts]
        boxes = letters + [image.get_window_extent() for image in axes.images]
        page = figure.bbox
        for box in boxes:
            assert page.xmin - 1 <= box.xmin < box.xmax <= page.xmax + 1
            assert page.ymin - 1 <= box.ymin < box.ymax <= page.ymax + 1
        for one, other in itertools.combinations(boxes, 2):
            apart = one.xmax < other.xmin or other.xmax < one.xmin or one.ymax < other.ymin or other.ymax < one.ymin
            assert apart, (one, other)


# ---------------------------------------------------------------------------------------------------------------------
# The data that are needed


def test_the_dataset_is_that_of_the_records_or_refused(workspace: Workspace, digits: PreparedDataset) -> None:
    setting = chosen(make_record(dataset="digits", dataset_checksum=digits.checksum)).setting
    assert recorded_dataset(setting, workspace) is digits
    with pytest.raises(BenchError, match="digits is not what it was when the records were made"):
        recorded_dataset(setting._replace(dataset_checksum="c" * 64), workspace)
    with pytest.raises(DataMissing, match="dataset mnist is not in the data folder"):
        recorded_dataset(setting._replace(dataset="mnist"), workspace)


@pytest.fixture
def draw(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``bench figures``, in coarse dots."""
    monkeypatch.setattr("bench.report.figures.style.RESOLUTION", 50)
    return invoked(figures)


def test_bench_figures_draws_images_of_the_data_at_hand(
    draw: Callable[..., Any], project: Project, digits: PreparedDataset, split: Split, digits_data: Path
) -> None:
    store = Store(project.root / "results/runs")
    facts: dict[str, Any] = {"dataset": "digits", "dataset_checksum": digits.checksum, "profile": "cpu"}
    facts |= {"protocol": "holdout_80_20", "normal_class": "3", "normal_label": 3}
    scores = np.random.default_rng(0).random(len(split.test))
    kept = {"reconstructed": digits.images[split.test[:8]], "reconstructed_indices": split.test[:8]}
    put(store, split.test_labels, scores, split.test, kept, method="vae", **facts)
    put(store, split.test_labels, scores, split.test, method="ocsvm", **facts)
    ended = draw("quickstart", "--data", str(digits_data))
    written = {Path(path).stem for path in ended.stdout.split()}
    assert {
        "quickstart-samples",
        "quickstart-extremes-vae-3-seed0",
        "quickstart-extremes-ocsvm-3-seed0",
        "quickstart-mistakes-ocsvm-3-seed0",
        "quickstart-reconstructions-vae-3-seed0",
    } < written
    assert "left out: quickstart-reconstructions-ocsvm-3-seed0: it stored no reconstructions" in ended.stderr
    assert (project.root / "figures/quickstart-samples.pdf").stat().st_size > 5000


@pytest.mark.parametrize(
    ("suite", "dataset", "why"),
    [
        ("quickstart", "digits", "digits is not what it was when the records were made"),
        ("mnist_holdout", "mnist", "dataset mnist is not in the data folder"),
    ],
    ids=["other data", "no data"],
)
def test_bench_figures_needs_no_data_for_what_shows_no_image(
    draw: Callable[..., Any], project: Project, suite: str, dataset: str, why: str
) -> None:
    facts: dict[str, Any] = {"dataset": dataset, "protocol": "holdout_80_20", "profile": "cpu", "normal_class": "3"}
    put(Store(project.root / "results/runs"), FOUR, [0.1, 0.4, 0.3, 0.2], [1, 2, 3, 4], **facts)
    ended = draw(suite, "--profile", "cpu")
    assert f"left out: images of {suite}: {why}" in ended.stderr
    written = {Path(path).stem for path in ended.stdout.split()}
    assert written == {f"{suite}-roc-3", f"{suite}-heatmap", f"{suite}-histogram-ocsvm-3-seed0"}


def test_those_kinds_alone_are_drawn_that_are_named(draw: Callable[..., Any], project: Project) -> None:
    facts: dict[str, Any] = {"dataset": "digits", "protocol": "holdout_80_20", "profile": "cpu", "normal_class": "3"}
    put(Store(project.root / "results/runs"), FOUR, [0.1, 0.4, 0.3, 0.2], [1, 2, 3, 4], **facts)
    ended = draw("quickstart", "--only", "roc, histogram")
    assert {Path(path).stem for path in ended.stdout.split()} == {
        "quickstart-roc-3",
        "quickstart-histogram-ocsvm-3-seed0",
    }
    assert "images of" not in ended.stderr, "nobody asked for any"
    with pytest.raises(BenchError, match=r"no kind of figure called 'rocs'; there are: roc, heatmap, .*, maps$"):
        draw("quickstart", "--only", "rocs")
    with pytest.raises(BenchError, match="allow no figure"):
        draw("quickstart", "--only", "choice,critical-difference")
    reasons = CliRunner().invoke(app, ["figures", "quickstart", "--only", "choice"]).stderr
    assert "left out: quickstart-choice: no method is traced on every class" in reasons


def test_the_same_images_give_the_same_bytes(digits: PreparedDataset, tmp_path: Path) -> None:
    from bench.report.figures.style import save

    few = dataclasses.replace(digits, images=digits.images[:40], labels=digits.labels[:40])
    first, second = (save(sample_sheet(chosen(make_record()), few), tmp_path / name, "a") for name in ("1", "2"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]

"""Score maps in jobs: measured against masks, by kind of anomaly, a few kept or all; shown in tables and a figure."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import make_job

from bench.dataset import PreparedDataset
from bench.errors import BenchError, RecordUnreadable
from bench.execution.fits import Fits
from bench.execution.mapping import SHOWN
from bench.execution.measurement import measured_with
from bench.execution.messages import Outcome, Task
from bench.localisation import localised
from bench.method import FitContext, Images, Maps, Method, Scores, ignore_epoch, method
from bench.record import Record
from bench.registry import Registry
from bench.report.figures.pictures import maps as drawn_maps
from bench.report.selection import select
from bench.report.tables.formats import rendered
from bench.report.tables.several import metric_tables
from bench.specs import parse_spec
from bench.store import Store

SIDE = 24


def tiles(masks: bool = True) -> PreparedDataset:
    """Forty good tiles, half of them to train, and two kinds of defects of ten tiles each: squares and weak stripes."""
    random = np.random.default_rng(0)
    images = random.integers(90, 110, (60, SIDE, SIDE, 1)).astype(np.uint8)
    labels = np.repeat([0, 0, 1, 2], [20, 20, 10, 10])
    marked = np.zeros((60, SIDE, SIDE), dtype=bool)
    for index in range(40, 50):
        marked[index, 4:10, index % 10 : index % 10 + 6] = True
        images[index, marked[index]] = 220
    for index in range(50, 60):
        marked[index, :, index % 10] = True
        images[index, marked[index]] = 112
    return PreparedDataset(
        name="tiles",
        spec="tiles",
        checksum="c" * 64,
        classes=("good", "square", "stripe"),
        superclasses=None,
        folder=Path("tiles"),
        images=images,
        labels=labels,
        is_test=np.arange(60) >= 20,
        masks=list(marked) if masks else None,
    )


@method(version="1")
class Elsewhere(Method):
    """Scores by brightness, and maps noise that depends on the image alone."""

    def fit(self, images: Images, context: FitContext) -> Elsewhere:
        return self

    def score(self, images: Images) -> Scores:
        return images.mean(axis=(1, 2, 3))

    def score_map(self, images: Images) -> Maps:
        return np.stack([np.random.default_rng(int(image.sum())).random((6, 6)) for image in images])


def outcome(detector: Method | str, dataset: PreparedDataset, keep: bool = False) -> Outcome:
    built = Registry("method").build(parse_spec(detector)) if isinstance(detector, str) else detector
    job = make_job(method="mean_image", dataset="tiles", protocol="train_test_folders", normal_class="good")
    task = Task(job, dataset.folder, (), keep_maps=keep)
    return measured_with(built, dataset, task, ignore_epoch, [], Fits())


def recorded(found: Outcome, **job: Any) -> Record:
    made = make_job(
        **{"method": "mean_image", "dataset": "tiles", "protocol": "train_test_folders", "normal_class": "good", **job}
    )
    return Record(
        made, "done", found.split, found.metrics, found.by_kind, maps=found.maps, cost=found.cost, ledger=found.ledger
    )


@pytest.fixture(scope="module")
def found() -> Outcome:
    return outcome("mean_image", tiles(), keep=True)


def test_maps_are_measured_on_all_test_images_and_on_each_kind_with_the_good_ones(found: Outcome) -> None:
    assert found.metrics["pixel_auroc"] > 0.9
    assert found.metrics["aupro_30"] > 0.7
    assert list(found.by_kind) == ["square", "stripe"]
    assert found.by_kind["square"]["pixel_auroc"] > found.by_kind["stripe"]["pixel_auroc"]
    assert found.by_kind["square"]["auroc"] == 1.0
    for figures in (found.metrics, *found.by_kind.values()):
        assert figures.keys() == found.metrics.keys()
    assert found.cost["map_seconds"] > 0


def test_the_figures_are_those_of_the_maps_that_were_kept(found: Outcome) -> None:
    dataset = tiles()
    assert found.arrays is not None
    assert found.every_map is not None
    assert dataset.masks is not None
    every = found.every_map.astype(np.float64) * found.maps["largest"]
    of_stripes = np.flatnonzero(np.isin(dataset.labels[found.arrays["indices"]], [0, 2]))
    masks = [dataset.masks[index] for index in found.arrays["indices"][of_stripes]]
    again = localised(list(every[of_stripes]), masks)
    for name, figure in again.items():
        assert found.by_kind["stripe"][name] == pytest.approx(figure, abs=0.02)  # kept in 16 bits, which ties some


def test_a_few_maps_of_each_class_are_kept_the_good_ones_first(found: Outcome) -> None:
    assert found.arrays is not None
    assert found.every_map is not None
    indices = found.arrays["map_indices"]
    assert tiles().labels[indices].tolist() == [0] * SHOWN + [1] * SHOWN + [2] * SHOWN
    places = [np.flatnonzero(found.arrays["indices"] == index)[0] for index in indices]
    assert np.array_equal(found.arrays["maps"], found.every_map[places])
    assert found.arrays["maps"].dtype == np.float16
    assert np.abs(found.every_map).max() == 1.0
    assert 0 < found.maps["usual"] < 1


def test_whether_the_map_is_what_scores_is_measured(found: Outcome) -> None:
    assert found.maps["agreement"] > 0.9
    assert not found.maps["residual"]
    assert outcome("pca", tiles()).maps["residual"]
    assert abs(outcome(Elsewhere(), tiles()).maps["agreement"]) < 0.5


def test_without_masks_kinds_have_figures_of_images_alone() -> None:
    found = outcome("mean_image", tiles(masks=False))
    assert found.by_kind.keys() == {"square", "stripe"}
    assert "f1_max" in found.metrics
    assert not any("pixel" in name for figures in (found.metrics, *found.by_kind.values()) for name in figures)
    assert not found.maps


def test_a_method_without_maps_has_figures_of_images_alone() -> None:
    found = outcome("knn", tiles())
    assert found.by_kind["square"]["auroc"] == 1.0
    assert "pixel_auroc" not in found.metrics
    assert "map_seconds" not in found.cost
    with pytest.raises(BenchError, match="no score_map, so that there are no maps to keep"):
        outcome("knn", tiles(), keep=True)


def test_one_against_the_rest_has_no_kinds() -> None:
    dataset = dataclasses.replace(tiles(masks=False))
    job = make_job(method="mean_image", dataset="tiles", protocol="official_split", normal_class="good")
    detector = Registry("method").build(parse_spec("mean_image"))
    found = measured_with(detector, dataset, Task(job, dataset.folder, ()), ignore_epoch, [], Fits())
    assert not found.by_kind
    assert found.metrics.keys() == {"auroc", "average_precision", "fpr_at_95_tpr"}


# ---------------------------------------------------------------------------------------------------------------------
# On disk


def test_all_maps_lie_in_a_file_of_their_own_that_the_record_names(found: Outcome, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(recorded(found), found.arrays, found.every_map)
    record = store.get(recorded(found).job)
    assert record is not None
    assert record.by_kind == found.by_kind
    assert found.every_map is not None
    assert np.array_equal(store.maps(record), found.every_map)
    assert "every" not in store.scores(record)
    assert len(store.files(record)) == 3
    assert not list(store._unnamed_scores())

    store.put(recorded(found), found.arrays)  # again, without keeping them
    record = store.get(record.job)
    assert record is not None
    with pytest.raises(RecordUnreadable, match="bench run --keep-maps"):
        store.maps(record)
    assert len(list(tmp_path.rglob("*.npz"))) == 1


def test_maps_that_were_altered_are_named(found: Outcome, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(recorded(found), found.arrays, found.every_map)
    record = store.get(recorded(found).job)
    assert record is not None
    (file,) = tmp_path.rglob("*-maps.npz")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(RecordUnreadable, match="not those of its record"):
        store.maps(record)
    store.remove(record)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_record_with_maps_can_be_packed_and_leaves_them_behind(found: Outcome, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(recorded(found), found.arrays, found.every_map)
    (record,), _ = store.records()
    store.pack([record], tmp_path / "tiles.zip")
    store.remove(record)
    packed = Store(tmp_path)
    (again,), unreadable = packed.records()
    assert not unreadable
    assert again == record
    assert "maps" not in packed.scores(again)
    with pytest.raises(RecordUnreadable, match="no file of all its maps"):
        packed.maps(again)


def test_a_record_without_kinds_and_maps_is_written_as_before() -> None:
    text = recorded(dataclasses.replace(outcome("knn", tiles()), by_kind={})).to_json()
    assert '"by_kind"' not in text
    assert '"maps"' not in text


# ---------------------------------------------------------------------------------------------------------------------
# In reports


def records(found: Outcome) -> list[Record]:
    apart = outcome(Elsewhere(), tiles())
    return [recorded(found), recorded(apart, method="elsewhere"), recorded(outcome("knn", tiles()), method="knn")]


def test_several_metrics_stand_side_by_side_and_each_kind_has_a_table(found: Outcome) -> None:
    metrics = ["auroc", "f1_max", "fpr_at_95_tpr", "pixel_auroc", "aupro_05", "seconds"]
    whole, *kinds = metric_tables(select(records(found), lambda record: True), metrics, [], "Tiles")
    assert list(whole.columns) == metrics
    assert list(whole.rows) == ["elsewhere", "knn", "mean_image"]
    assert whole.cells["mean_image"]["aupro_05"].mean == found.metrics["aupro_05"]
    assert [table.title.partition(" (")[0] for table in kinds] == ["Tiles, square", "Tiles, stripe"]
    assert [table.caption for table in kinds] == ["Tiles, square", "Tiles, stripe"]
    assert list(kinds[0].columns) == metrics[:-1]
    assert kinds[1].cells["mean_image"]["auroc"].mean == found.by_kind["stripe"]["auroc"]
    assert whole.cells["knn"]["pixel_auroc"].text(3) == "–"
    assert whole.marked("elsewhere") == "elsewhere ‡"
    assert whole.marked("f1_max") == "f1_max †"
    notes = "\n".join(whole.notes)
    assert "‡ elsewhere does not score by the mean of its map" in notes
    assert "† f1_max: at the threshold that is best by the test labels" in notes
    better = {name: whole.cells[name]["fpr_at_95_tpr"].mean for name in whole.rows}
    best = [name for name in whole.rows if whole.place(name, "fpr_at_95_tpr") == 1]
    assert {better[name] for name in best} == {min(value for value in better.values() if value is not None)}
    for form in ("text", "markdown", "latex", "html", "csv", "json"):
        assert "elsewhere" in rendered(whole, form)


def test_an_unknown_metric_is_named(found: Outcome) -> None:
    with pytest.raises(BenchError, match="no metric called 'aupro'; did you mean"):
        metric_tables(select([recorded(found)], lambda record: True), ["aupro"])


def test_the_default_tables_name_metrics_that_exist(found: Outcome) -> None:
    from bench.config import load_config

    named = [table.metrics for table in load_config().tables.values() if table.metrics]
    assert named
    for metrics in named:
        assert metric_tables(select([recorded(found)], lambda record: True), metrics)


def test_the_figure_shows_images_masks_maps_and_contours(found: Outcome) -> None:
    arrays = found.arrays
    assert arrays is not None
    figure = drawn_maps(recorded(found), lambda record: arrays, tiles())
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.texts]
    for name in ("good", "square", "stripe", "image", "mask", "map", "contours"):
        assert name in texts
    assert len(axes.images) == 4 * 3 * SHOWN
    with pytest.raises(BenchError, match="stored no maps"):
        drawn_maps(recorded(found), lambda record: {}, tiles())

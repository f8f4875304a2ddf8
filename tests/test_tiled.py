"""tiled: tiles that cover an image, scores and maps put together from them, and a defect that resizing loses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from bench.errors import BenchError
from bench.method import FitContext, Images
from bench.methods.adapters.tiled import Tiled, places
from bench.registry import Registry
from bench.specs import parse_spec

OCSVM = "tiled(of='ocsvm',side=16)"


def built(spec: str) -> Tiled:
    made = Registry("method").build(parse_spec(spec))
    assert isinstance(made, Tiled)
    return made


def tiles_with_specks(count: int, specks: bool, seed: int) -> Images:
    """Grey noise of 128×128, with or without a bright speck of 3×3 somewhere."""
    draw = np.random.default_rng(seed)
    images = draw.normal(120, 12, (count, 128, 128, 1)).clip(0, 255).astype(np.uint8)
    for image in images if specks else ():
        y, x = draw.integers(0, 125, 2)
        image[y : y + 3, x : x + 3] = 165
    return images


@given(length=st.integers(1, 200), side=st.integers(1, 200), overlap=st.integers(0, 199))
def test_the_fewest_tiles_that_share_enough_cover_a_length(length: int, side: int, overlap: int) -> None:
    side, overlap = min(side, length), min(overlap, min(side, length) - 1)
    starts = places(length, side, overlap)
    assert starts[0] == 0 and starts[-1] == length - side
    steps = np.diff(starts)
    assert (steps > 0).all() and (steps <= side - overlap).all()
    assert (len(starts) - 1) * (side - overlap) + side < length + (side - overlap)  # one fewer would not reach


def test_maps_put_the_tiles_back_where_they_came_from() -> None:
    tiled = built("tiled(of='ocsvm',overlap=7,side=20)")
    images = np.random.default_rng(0).integers(0, 256, (3, 50, 64, 1), dtype=np.uint8)
    tiles = tiled.tiles(images)
    assert tiles.shape == (3 * 4 * 5, 20, 20, 1)
    np.testing.assert_allclose(tiled._together(tiles[..., 0].astype(float), images.shape), images[..., 0])


def test_a_small_map_of_a_tile_is_enlarged_over_all_of_it() -> None:
    tiled = built("tiled(of='ocsvm',side=4)")
    together = tiled._together(np.array([[[1.0]], [[2.0]]]), (1, 4, 8, 1))
    np.testing.assert_array_equal(together[0], np.repeat([[1, 1, 1, 1, 2, 2, 2, 2]], 4, axis=0))


@pytest.mark.parametrize("pooled", ["max", "mean"])
def test_an_image_has_the_worst_or_the_mean_score_of_its_tiles(pooled: str) -> None:
    tiled = built(f"tiled(of='ocsvm',pooled='{pooled}',side=16)").fit(tiles_with_specks(12, False, 1), FitContext(0))
    images = tiles_with_specks(3, True, 2)
    expected = [getattr(np, pooled)(tiled.method.score(tiled.tiles(image[None]))) for image in images]
    np.testing.assert_allclose(tiled.score(images), expected)


def test_tiles_find_what_resizing_loses(tmp_path: Path) -> None:
    train, normal, defective = (tiles_with_specks(60, specks, seed) for seed, specks in enumerate((False, False, True)))
    labels = np.repeat([0, 1], 60)

    def auroc(spec: str) -> float:
        made = Registry("method").build(parse_spec(spec)).fit(train, FitContext(seed=0))
        return float(roc_auc_score(labels, made.score(np.concatenate([normal, defective]))))

    assert auroc(OCSVM) > 0.9
    assert auroc("ocsvm") < 0.75


def test_the_map_is_higher_at_the_speck() -> None:
    tiled = built(OCSVM).fit(tiles_with_specks(40, False, 1), FitContext(seed=0))
    images = tiles_with_specks(1, False, 5)
    images[0, 20:24, 40:44] = 255
    score_map = tiled.score_map(images)[0]
    assert score_map.shape == (128, 128)
    assert np.unravel_index(score_map.argmax(), score_map.shape) == (16, 32)


def test_the_parameters_of_the_method_are_checked_by_their_own_types() -> None:
    assert str(Registry("method").resolve(parse_spec("tiled(of='ganomaly',width=64,side=32)"))) == (
        "tiled(of='ganomaly',side=32)"
    )
    assert built("tiled(of='ganomaly',width=8)").hyperparameters()["width"] == 8
    for spec, reason in (
        ("tiled", "tiled needs of; write tiled"),
        ("tiled(of='ganomly')", "no method for tiled called 'ganomly'; did you mean ganomaly"),
        ("tiled(of='ganomaly',width='wide')", "width='wide' is not usable"),
        ("tiled(of='ganomaly',nu=0.1)", "no parameter of tiled.* called 'nu'"),
        ("tiled(of='ocsvm',overlap=16,side=16)", "share at least 0 and fewer than 16"),
    ):
        with pytest.raises(BenchError, match=reason):
            built(spec)


def test_tiles_larger_than_the_images_are_refused() -> None:
    with pytest.raises(BenchError, match=r"side=64\) on images of 32×48 pixels.*write side=32 or less"):
        built("tiled(of='ocsvm')").fit(np.zeros((2, 32, 48, 1), dtype=np.uint8), FitContext(seed=0))


@pytest.mark.parametrize("spec", [OCSVM, "tiled(batch_size=16,epochs=1,of='vae',side=16,width=4)"])
def test_it_is_saved_and_loaded_with_the_method_in_it(spec: str, tmp_path: Path) -> None:
    images = tiles_with_specks(8, False, 3)
    tiled = built(spec).fit(images, FitContext(seed=0))
    tiled.save(tmp_path)
    loaded = Tiled.load(tmp_path)
    np.testing.assert_array_equal(loaded.score(images), tiled.score(images))
    np.testing.assert_array_equal(loaded.score_map(images), tiled.score_map(images))

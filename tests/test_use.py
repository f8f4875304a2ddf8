"""A detector for use: fitted as a job is, saved, loaded elsewhere, asked for the scores of arrays and of folders."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cli import PLUGINS, TINY_AE, Bench, python_prints
from numpy.typing import NDArray
from PIL import Image
from projects import Project
from sklearn.datasets import load_digits
from splits import protocol

import bench as api
from bench.api.model import FolderScores, Model
from bench.api.model_file import CARD
from bench.errors import BenchError
from bench.execution.hand import HAND
from bench.execution.messages import Fit, Score
from bench.pictures import picture
from bench.specs import parse_spec
from bench.workspace import open_workspace

NETWORK = TINY_AE.replace(")", ",min_steps=0)")
CONTROL = "pca"
SCORES = """
import sys, numpy, bench
model = bench.load_model(sys.argv[1], device="cpu")
print(model.score(numpy.load(sys.argv[2])).tobytes().hex())
"""


def digits(number: int) -> NDArray[np.uint8]:
    """scikit-learn's images of a digit (n, 8, 8, 1)."""
    every = load_digits()
    found: NDArray[np.uint8] = (every.images[every.target == number] * 15).astype(np.uint8)[..., None]
    return found


@pytest.fixture
def pictures(project: Project) -> Path:
    """``good``: zeros as JPEG. ``new``: zeros, and in ``new/odd`` sixes, one of them also in colour and larger."""
    for folder, number, taken in (("good", 0, range(60)), ("new", 0, range(100, 104)), ("new/odd", 6, range(4))):
        (project.root / folder).mkdir()
        for place in taken:
            image = Image.fromarray(digits(number)[place, ..., 0])
            image.save(project.root / folder / f"{number}-{place}.jpg", quality=95)
    with Image.open("new/odd/6-0.jpg") as image:
        image.convert("RGB").resize((20, 30)).save("new/odd/6-0.png")
    return project.root


@pytest.fixture(scope="module")
def model() -> Model:
    """A control fitted on zeros of 8 × 8."""
    return api.fit(CONTROL, digits(0)[:100], profile="cpu", device="cpu", quiet=True)


# ---------------------------------------------------------------------------------------------------------------------
# The same scores


@pytest.mark.parametrize("spec", [CONTROL, pytest.param(NETWORK, marks=pytest.mark.slow)])
def test_it_is_fitted_and_scored_as_by_a_job(spec: str, bench: Bench, tmp_path: Path) -> None:
    bench.digits(spec, "8", "--seeds", "1,")
    (record,) = bench.records()
    job = record.job
    dataset = open_workspace(data=bench.data).dataset(parse_spec("digits"))
    split = protocol(job.protocol).split(dataset, job.normal_class, job.seed)
    facts = {"spec": job.spec, "fingerprint": job.fingerprint, "seed": job.fit_seed, "plugin_folders": ()}
    for kind, places in ((Fit, split.train), (Score, split.test)):
        np.save(tmp_path / "images.npy", dataset.images[places])
        errand = kind(images=tmp_path / "images.npy", state=tmp_path, device="cpu", **facts)  # type: ignore[arg-type]
        outcome = HAND.do(errand)
        assert outcome.status == "done", outcome.error
    assert outcome.arrays is not None
    assert outcome.arrays["scores"].tobytes() == bench.store.scores(record)["scores"].tobytes()


@pytest.mark.parametrize("spec", [CONTROL, pytest.param(NETWORK, marks=pytest.mark.slow)])
def test_a_model_scores_alike_to_the_last_bit_in_another_process_and_when_fitted_again(
    spec: str, project: Project
) -> None:
    train, test = digits(0)[:100], np.concatenate([digits(0)[100:], digits(6)[:40]])
    model = api.fit(spec, train, profile="cpu", seed=3, device="cpu", quiet=True)
    here = model.score(test)
    assert here.shape == (len(test),)
    assert here[-40:].mean() > here[:-40].mean()
    model.save("zeros.model")
    np.save("test.npy", test)
    project.write("scores.py", SCORES)
    elsewhere = python_prints("scores.py", "zeros.model", "test.npy", folder=project.root)
    assert elsewhere.strip() == here.tobytes().hex()
    again = api.fit(spec, train, profile="cpu", seed=3, device="cpu", quiet=True)
    assert again.score(test).tobytes() == here.tobytes()
    if spec == NETWORK:
        other = api.fit(spec, train, profile="cpu", seed=4, device="cpu", quiet=True)
        assert other.score(test).tolist() != here.tolist()


def test_no_more_images_are_taken_than_asked_for_and_the_same_each_time() -> None:
    images = digits(0)
    few, same = (api.fit("mean_image", images, max_train=10, device="cpu", quiet=True) for _ in range(2))
    assert few.card.training_images == 10
    assert few.score(images).tolist() == same.score(images).tolist()
    first = api.fit("mean_image", images[:10], device="cpu", quiet=True)
    assert few.score(images).tolist() != first.score(images).tolist()


def test_the_profile_sets_what_the_spec_leaves_open(project: Project) -> None:
    project.write_plugins("[profiles.small]\nmax_train = 12\n[profiles.small.methods.mean]\nsteps = 5\npower = 3.0\n")
    card = api.fit("mean(power=1.0)", digits(0), profile="small", device="cpu", quiet=True).card
    assert (card.spec, card.profile, card.training_images) == ("mean(power=1.0,steps=5)", "small", 12)


# ---------------------------------------------------------------------------------------------------------------------
# Folders


def test_a_folder_is_scored_in_the_order_of_its_paths_whatever_the_size_and_colour(pictures: Path) -> None:
    model = api.fit("mean_image", "good", size=8, device="cpu", quiet=True)
    assert (model.card.height, model.card.width, model.card.channels, model.card.training_images) == (8, 8, 1, 60)
    found = model.score("new")
    names = [*(f"new/0-{n}.jpg" for n in range(100, 104)), "new/odd/6-0.jpg", "new/odd/6-0.png", "new/odd/6-1.jpg"]
    assert list(map(str, found.paths)) == [*names, "new/odd/6-2.jpg", "new/odd/6-3.jpg"]
    assert found.scores[4:].min() > found.scores[:4].max()
    assert found.scores[5] == pytest.approx(found.scores[4], rel=0.2)
    scores = {str(path): score for path, score in zip(found.paths, found.scores, strict=True)}
    small = picture(Path("new/odd/6-0.png"), Path()).resize((8, 8), Image.Resampling.BILINEAR).convert("L")
    by_hand = model.score(np.asarray(small)[None, ..., None])
    assert by_hand.tolist() == [scores["new/odd/6-0.png"]]
    large = np.asarray(picture(Path("new/odd/6-0.png"), Path()))[None]
    assert model.score(large).tolist() == by_hand.tolist()


def test_a_model_of_colour_takes_grey_pictures(pictures: Path) -> None:
    with Image.open("good/0-0.jpg") as image:
        image.convert("RGB").point(lambda value: value // 2, None).save("good/0-0.png")
        Image.merge("RGB", [image, image, Image.new("L", image.size)]).save("good/0-00.png")
    model = api.fit("mean_image", "good", size=8, device="cpu", quiet=True)
    assert model.card.channels == 3
    assert len(model.score("new").scores) == 9
    assert model.score(digits(0)[:3]).shape == (3,)


def test_csv_gives_the_same_numbers_back(pictures: Path) -> None:
    scores = np.array([0.1, 1 / 3, 1e-12], dtype=np.float32)
    text = FolderScores([Path("a"), Path('b, "c".png'), Path("d\ne")], scores, {}).csv()
    header, *rows = csv.reader(text.splitlines(keepends=True))
    assert header == ["path", "score"]
    assert [row[0] for row in rows] == ["a", 'b, "c".png', "d\ne"]
    assert np.array([row[1] for row in rows], dtype=np.float32).tolist() == scores.tolist()


@pytest.mark.slow
def test_the_commands_fit_and_score_and_name_what_is_broken(bench: Bench, pictures: Path) -> None:
    bench = bench.elsewhere(pictures)
    options = ("--size", "8", "--profile", "cpu", "--device", "cpu")
    fitted = bench("fit", CONTROL, "good", *options, "--save", "zeros.model")
    assert (fitted.returncode, fitted.stdout) == (
        0,
        "zeros.model: pca fitted on 60 images of 8 × 8, grey; profile cpu, seed 0\n",
    )
    Path("new/broken.png").write_bytes(b"\x89PNG no more")
    scored = bench("score", "zeros.model", "new", "--device", "cpu")
    assert scored.returncode == 1
    assert "warning: new/broken.png cannot be read as a picture" in scored.stderr
    assert "replace or remove it" in scored.stderr
    assert scored.stdout == api.load_model("zeros.model", device="cpu").score("new").csv()
    assert len(scored.stdout.splitlines()) == 10
    Path("new/broken.png").unlink()
    written = bench("score", "zeros.model", "new", "--out", "scores.csv", "--device", "cpu")
    assert (written.returncode, written.stdout) == (0, "scores.csv: 9 scores\n")
    assert Path("scores.csv").read_text() == scored.stdout
    Path("good/broken.jpg").write_bytes(b"")
    again = bench("fit", CONTROL, "good", *options, "--save", "again.model")
    assert again.returncode == 1
    assert "good/broken.jpg cannot be read as a picture" in again.stderr
    assert zipfile.ZipFile("again.model").read("state/method.pt")
    shutil.rmtree("new")
    Path("new").mkdir()
    Path("new/broken.jpg").write_bytes(b"")
    refused = bench("score", "again.model", "new", "--out", "none.csv")
    assert refused.returncode == 2
    assert "none of 1 pictures in new can be read; see the reasons above" in refused.stderr
    assert not Path("none.csv").exists()


def test_folders_that_hold_no_pictures_are_answered_with_what_to_name(pictures: Path, model: Model) -> None:
    with pytest.raises(BenchError, match=r"\. holds no picture .* name the one with the normal images: good, new"):
        api.fit(CONTROL, ".", device="cpu")
    with pytest.raises(BenchError, match=r"there is no folder nowhere"):
        api.fit(CONTROL, "nowhere", device="cpu")
    (pictures / "empty/deep").mkdir(parents=True)
    (pictures / "empty/.hidden.png").write_bytes(b"")
    with pytest.raises(BenchError, match=r"empty holds no picture .* and no folder in it does"):
        model.score("empty")


# ---------------------------------------------------------------------------------------------------------------------
# What is no image, no model, or fails


def test_what_are_no_images_is_refused(model: Model) -> None:
    with pytest.raises(BenchError, match=r"images are a NumPy array of uint8.* got float64 \(2, 8, 8, 1\)"):
        model.score(np.zeros((2, 8, 8, 1)))
    with pytest.raises(BenchError, match=r"images are a NumPy array of uint8.* got uint8 \(8, 8\)"):
        api.fit(CONTROL, np.zeros((8, 8), np.uint8), device="cpu")


def test_what_does_not_exist_is_refused(model: Model, project: Project) -> None:
    with pytest.raises(BenchError, match="no method called 'pcaa'; did you mean pca"):
        api.fit("pcaa", digits(0))
    with pytest.raises(BenchError, match="no profile called 'cpuu'"):
        api.fit(CONTROL, digits(0), profile="cpuu")
    with pytest.raises(BenchError, match="unknown device 'tpu'"):
        api.fit(CONTROL, digits(0), device="tpu")
    with pytest.raises(BenchError, match="there is no model zeros; bench fit SPEC FOLDER --save zeros makes one"):
        api.load_model("zeros")
    with pytest.raises(BenchError, match="cannot write the model nowhere/zeros: No such file"):
        model.save("nowhere/zeros")


def test_a_damaged_file_is_refused_wherever_it_is_cut_or_changed(model: Model, project: Project) -> None:
    model.save("whole")
    whole = Path("whole").read_bytes()
    damaged = {f"cut at {share}": whole[: int(share * len(whole))] for share in (0, 0.1, 0.5, 0.9, 0.999)}
    middle = len(whole) // 2
    damaged["changed"] = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    damaged["text"] = b"no archive\n"
    for what, content in damaged.items():
        Path("damaged").write_bytes(content)
        with pytest.raises(BenchError, match=r"damaged is no model, or damaged \(.*\); copy it again"):
            api.load_model("damaged")
            pytest.fail(what)
    with zipfile.ZipFile("damaged", "w") as archive:
        archive.writestr("records.json", "{}")
    with pytest.raises(BenchError, match="damaged is no model"):
        api.load_model("damaged")


def _changed(model: Model, path: str, **changes: object) -> None:
    """Write a model with another card."""
    model.save("as_it_is")
    with zipfile.ZipFile("as_it_is") as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, json.dumps(json.loads(content) | changes) if name == CARD else content)


def test_a_card_of_another_format_or_without_sense_is_refused(model: Model, project: Project) -> None:
    _changed(model, "later", format=2)
    with pytest.raises(BenchError, match="later is a model of format 2, which this version does not know; upgrade"):
        api.load_model("later")
    _changed(model, "senseless", height="tall")
    with pytest.raises(BenchError, match="senseless is no model, or damaged"):
        api.load_model("senseless")
    _changed(model, "unknown", spec="nowhere_to_be_found")
    with pytest.raises(BenchError, match="no method called 'nowhere_to_be_found'"):
        api.load_model("unknown")


def test_code_that_has_changed_since_is_told(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write_plugins()
    api.fit("mean", digits(0), device="cpu", quiet=True).save("zeros.model")
    loaded = api.load_model("zeros.model", device="cpu")
    before = loaded.score(digits(6)[:3])
    assert capsys.readouterr().err == ""
    file = project.root / "my_methods/mean.py"
    file.write_text(
        file.read_text().replace('version="7"', 'version="8"').replace("self.mean) **", "self.mean * 2) **")
    )
    for name in [name for name in sys.modules if name.startswith("bench_extra_")]:  # as a process has it that comes new
        del sys.modules[name]
    later = api.load_model("zeros.model", device="cpu")
    told = capsys.readouterr().err
    assert "zeros.model was fitted by other code of mean (version 7; today's is 8)" in told
    assert later.score(digits(6)[:3]).tolist() != before.tolist()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raises", "ended as failed: LookupError: the cause, in the plugin's own words"),
        ("kills_itself", "ended as killed: the worker process was killed by SIGKILL"),
        ("nan_loss", "ended as diverged: a loss is not finite after epoch 1"),
    ],
)
def test_a_method_that_fails_is_an_error_with_its_reason(how: str, reason: str, project: Project) -> None:
    project.write("bench.toml", f"[plugins]\nmethods = [{str(PLUGINS)!r}]\n")
    with pytest.raises(BenchError, match=reason) as failure:
        api.fit(f"misbehaves(how={how!r})", digits(0), device="cpu", quiet=True)
    assert str(failure.value).startswith(f"fitting misbehaves(how={how!r}) ")
    if how == "raises":
        assert "misbehaves.py" in "".join(failure.value.__notes__)


def test_a_score_that_is_no_number_is_an_error(project: Project) -> None:
    project.write("bench.toml", f"[plugins]\nmethods = [{str(PLUGINS)!r}]\n")
    with pytest.raises(BenchError, match=r"scoring with .* 1 of 3 scores are not finite"):
        api.fit("misbehaves(how='nan_scores')", digits(0), device="cpu", quiet=True).score(digits(0)[:3])


def test_a_file_that_cannot_be_written_is_known_before_anything_is_fitted(bench: Bench, pictures: Path) -> None:
    refused = bench.elsewhere(pictures)("fit", "misbehaves(how='raises')", "good", "--save", "nowhere/zeros.model")
    assert refused.returncode == 2
    assert "cannot write the model nowhere/zeros.model: No such file or directory; name another file" in refused.stderr


def test_a_model_leaves_nothing_behind_when_it_is_gone(model: Model) -> None:
    own = api.fit("mean_image", digits(0), device="cpu", quiet=True)
    folder = own._folder
    assert (folder / "state").is_dir()
    del own
    assert not folder.exists()


# ---------------------------------------------------------------------------------------------------------------------
# Where pictures are anomalous


def test_maps_of_a_folder_are_written_as_pictures_of_one_scale(model: Model, pictures: Path) -> None:
    found = model.maps_of("new")
    assert found.maps.shape == (9, 8, 8)
    written = found.write(pictures / "heat")
    assert sorted(path.relative_to(pictures / "heat") for path in written)[-1] == Path("odd/6-3.jpg.png")
    pixels = {path.name: np.asarray(Image.open(path)) for path in written}
    assert {each.shape for each in pixels.values()} == {(8, 8, 3)}
    brightest = max(pixels, key=lambda name: int(pixels[name].sum(axis=2).max()))
    assert brightest.startswith("6")
    assert np.array_equal(model.score_map(digits(0)[:3])[1:2], model.score_map(digits(0)[1:2]))


def test_a_method_without_maps_says_so(pictures: Path) -> None:
    plain = api.fit("knn", digits(0)[:50], profile="cpu", device="cpu", quiet=True)
    with pytest.raises(BenchError, match="knn has no score maps: it neither reconstructs nor defines score_map"):
        plain.maps_of("new")

"""The committed reference run: its tables are those that its records make, and it names no machine's folders."""

from __future__ import annotations

import functools
import itertools
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import mean

import pytest
from cli import Bench

from bench.record import Record
from bench.report.statistics.ranking import interval_of_mean
from bench.report.tables.published import of_table
from bench.store import Store

RESULTS = Path(__file__).parent.parent / "results"
FOLDERS = sorted(path.name for path in RESULTS.iterdir() if path.is_dir() and path.name != "figures")


@functools.cache
def recorded(folder: str) -> list[Record]:
    """The committed records of a folder, loose and packed, each of which can be read."""
    records, unreadable = Store(RESULTS / folder).records()
    assert records
    assert not unreadable
    return records


@pytest.mark.parametrize(("command", "file"), [("table all", "tables.txt"), ("verify", "verify.txt")])
def test_the_commands_print_what_is_committed(bench: Bench, command: str, file: str) -> None:
    (bench.folder / "results").mkdir(exist_ok=True)
    (bench.folder / "results/reference").symlink_to(RESULTS / "reference")
    told = bench(*command.split())
    assert "showing the reference run" in told.stderr
    assert told.stdout == (RESULTS / file).read_text(encoding="utf-8"), "make it anew with results/make.py"


@pytest.mark.parametrize(
    "page", ["README.md", "docs/shared-ae.md", pytest.param("results/README.md", marks=pytest.mark.slow)]
)
def test_a_page_shows_what_the_records_make(bench: Bench, page: str) -> None:
    text = (RESULTS.parent / page).read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- bench (.*?) -->\n((?:.+\n)*)\n", text)
    assert blocks
    for arguments, shown in blocks:
        options = dict(re.findall(r"(--config|--results) (\S+)", arguments))
        asked = re.sub(r"(--config|--results) \S+", "", arguments).split()
        # the working folder's, as these commands have a --config already
        shutil.copy(RESULTS / options.get("--config", "tables.toml"), bench.folder / "bench.toml")
        folder = RESULTS / options.get("--results", "reference")
        printed = bench(*asked, "--results", str(folder)).stdout.splitlines()
        lines = [line for line in shown.splitlines() if not line.startswith("```")]
        assert lines == ["No records yet."] if not printed else lines and set(lines) <= set(printed)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_record_names_a_folder_of_the_machine_that_made_it(folder: str) -> None:
    for record in recorded(folder):
        assert not re.search(r"/(tmp|home|opt|root|work|Users)/", json.dumps(record.provenance)), record.job.key


def test_the_means_of_development_and_held_out_classes_are_those_of_the_records() -> None:
    """The account says that the study of readings did not flatter the method that it chose."""
    found: dict[tuple[str, str, bool], list[float]] = defaultdict(list)
    development = {"5", "6", "7", "8", "9", "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"}
    for record in recorded("reference"):
        job = record.job
        if job.method == "shared_ae" and (job.dataset, job.protocol) != ("mnist", "holdout_80_20"):
            found[job.dataset, job.label, job.normal_class in development].append(record.metrics["auroc"])
    means = [
        f"{mean(found[dataset, label, chosen_on]):.3f}"
        for dataset, label in (("mnist", "shared_ae"), ("mnist", "shared_ae(variant='one_ede')"))
        for chosen_on in (True, False)
    ]
    means += [f"{mean(found['fashion_mnist', 'shared_ae', chosen_on]):.3f}" for chosen_on in (True, False)]
    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    assert (
        "`shared_ae` has {} on MNIST 5–9 and {} on the held-out digits 0–4, where one EDE has {} and {}; "
        "{} on Fashion-MNIST 0–4 and {} on 5–9".format(*means)
    ) in page


@pytest.mark.parametrize("profile", ["images1500", "whole"])
def test_the_means_of_the_ablation_on_the_digits_that_chose_nothing_are_those_of_its_records(profile: str) -> None:
    forms = [
        "autoencoder",
        "shared_ae(alpha=1000.0,variant='one_ede')",
        "shared_ae(alpha=300.0,variant='two_ede')",
        "shared_ae",
    ]

    def means(digits: str) -> str:
        own = [
            record
            for record in recorded("ablation")
            if record.job.normal_class in digits and record.job.profile == profile
        ]
        found = [mean(record.metrics["auroc"] for record in own if record.job.label == form) for form in forms]
        return "{:.3f}, {:.3f}, {:.3f} and {:.3f}".format(*found)

    page = " ".join((RESULTS / "README.md").read_text(encoding="utf-8").split())
    told = f"the four have, in the order of the table, {means('01234')}; on 5 to 9 {means('56789')}"
    assert told in page


def test_what_the_adversary_is_worth_by_training_steps_is_what_the_records_say() -> None:
    found: dict[str, dict[float, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for record in recorded("ablation_by_steps"):
        variant = re.search(r"(one|two)_ede", record.job.label)
        form = variant[0] if variant else record.job.method
        found[form][record.cost["steps"]][record.job.seed] = record.metrics["auroc"]

    def difference(other: str, steps: float) -> str:
        full, beside = found["shared_ae"][steps], found[other][steps]
        assert set(full) == set(beside) == set(range(5))
        each = [full[seed] - beside[seed] for seed in range(5)]
        low, high = interval_of_mean(each) or (0.0, 0.0)
        return f"{mean(each):+.3f} ({low:.3f} to {high:.3f})".replace("-", "−")

    def lost(form: str) -> str:
        return f"{mean(found[form][230].values()) - mean(found[form][1840].values()):.3f}"

    page = " ".join((RESULTS / "README.md").read_text(encoding="utf-8").split())
    first = difference("two_ede", 230).replace(" (", ", 95 % interval over the seeds ")
    later = [f"{difference('two_ede', steps)} at {steps:,}" for steps in (460, 920, 1840)]
    assert f"(full model − two EDEs {first} and gains with longer training: {', '.join(later)}." in page
    losses = [f"two EDEs lose {lost('two_ede')}", f"the plain autoencoder {lost('autoencoder')}"]
    assert f"{', '.join(losses)}, the full model {lost('shared_ae')}. Against" in page
    assert f"at no length: {', '.join(difference('one_ede', steps) for steps in (230, 460, 920, 1840))}." in page


def test_what_statistics_alone_are_worth_with_whole_classes_is_what_the_records_say() -> None:
    def at_seed_0(folder: str, label: str) -> float:
        own = [each for each in recorded(folder) if each.job.label == label and each.job.seed == 0]
        found = [each.metrics["auroc"] for each in own if each.job.profile != "images1500"]
        assert len(found) == 10
        return mean(found)

    per_pass = at_seed_0("ablation", "shared_ae(adversary='printed',alpha=10.0)")
    old, new = at_seed_0("whole_classes", "shared_ae"), at_seed_0("ablation", "shared_ae")
    page = " ".join((RESULTS / "README.md").read_text(encoding="utf-8").split())
    told = f"make {per_pass:.3f} at seed 0, where version 2 has {old:.3f} and version 3 {new:.3f}: "
    assert f"{told}{per_pass - old:.3f} of the {new - old:.3f}." in page


def test_twelve_records_of_the_ablation_came_out_otherwise_on_another_machine() -> None:
    again = {(record.job.label, record.job.seed): record for record in recorded("ablation_by_steps")}
    apart = [
        abs(record.metrics["auroc"] - again[record.job.label, record.job.seed].metrics["auroc"])
        for record in recorded("ablation")
        if (record.job.normal_class, record.job.profile) == ("8", "images1500")
        and (record.job.label, record.job.seed) in again
    ]
    assert (len(apart), min(apart) > 0) == (12, True)
    page = " ".join((RESULTS / "README.md").read_text(encoding="utf-8").split())
    assert f"none came out bit for bit, and their AUROCs are up to {max(apart):.3f} away" in page


def test_the_account_counts_the_digits_on_which_deep_svdd_differs_from_its_authors_figures() -> None:
    published = {
        digit: figure.auroc for (suite, digit), figure in of_table("2")["Deep-SVDD"].items() if suite == "mnist"
    }
    found = [
        each for each in recorded("paper_profile") if (each.job.dataset, each.job.method) == ("mnist", "deep_svdd")
    ]
    apart = [abs(each.metrics["auroc"] - published[each.job.normal_class]) > 0.01 for each in found]
    assert (len(apart), sum(apart)) == (10, 8)
    assert "eight of ten digits differ" in (RESULTS / "README.md").read_text(encoding="utf-8")


def test_what_statistics_for_each_pass_are_worth_is_what_the_study_holds() -> None:
    found: dict[str, list[float]] = defaultdict(list)
    for record in recorded("study"):
        if record.job.profile == "cpu":
            found[record.job.label].append(record.metrics["auroc"])
    by_blend, per_pass = found["shared_ae(statistics='blend')"], found["shared_ae"]
    assert len(by_blend) == len(per_pass) == 10
    page = (RESULTS.parent / "docs/methods.md").read_text(encoding="utf-8")
    assert f"a mean AUROC of {mean(by_blend):.3f} by the blend and of {mean(per_pass):.3f} per pass" in page


def test_the_account_shows_skip_ganomaly_by_steps_as_its_trace_has_it() -> None:
    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    header, *rows = re.findall(
        r"^\| (steps|2|8) \| (.+) \|$", page.split("### Skip-GANomaly by steps")[1], re.MULTILINE
    )[:3]
    steps = [int(count.replace(",", "")) for count in header[1].split(" | ")]
    found = recorded("skip_ganomaly_by_steps")
    curves = {record.job.normal_class: record.epochs for record in found}
    each = found[0].cost["steps"] // len(found[0].epochs)
    assert steps[-1] == 10_000
    for digit, figures in rows:
        assert figures.split(" | ") == [f"{curves[digit][count // each - 1]['auroc']:.3f}" for count in steps]


def test_what_is_said_of_magnetic_tiles_is_what_the_records_hold() -> None:
    cut = {record.job.spec: record for record in recorded("magnetic_tile") if record.job.method == "tiled"}
    found = {
        record.job.label: record
        for record in recorded("magnetic_tile")
        if record.job.profile == "cpu" and record.job.method != "tiled"
    }
    page = " ".join((RESULTS / "README.md").read_text(encoding="utf-8").split())

    def of(label: str, metric: str, kind: str = "") -> float:
        return (found[label].by_kind[kind] if kind else found[label].metrics)[metric]

    def best(metric: str, among: Iterable[str]) -> str:
        return max((label for label in among if metric in found[label].metrics), key=lambda label: of(label, metric))

    assert best("auroc", found) == best("pixel_auroc", found) == "padim"
    others = found.keys() - {"padim"}
    assert best("aupro_30", others) == "pca"
    told = [
        f"the best by images, {of('padim', 'auroc'):.3f}, and by single pixels, {of('padim', 'pixel_auroc'):.3f};",
        f"no other image AUROC is above {of(best('auroc', others), 'auroc'):.3f}",
        f"has {of('patchcore', 'auroc'):.3f} and {of('patchcore', 'pixel_auroc'):.3f},",
        f"nearest neighbours {of('feature_knn', 'auroc'):.3f}",
        f"AUPRO {of('pca', 'aupro_30'):.3f} at 0.3, PaDiM {of('padim', 'aupro_30'):.3f}",
        f"PCA finds blowholes ({of('pca', 'pixel_auroc', 'blowhole'):.3f} of pixels)",
        f"and cracks ({of('pca', 'pixel_auroc', 'crack'):.3f})",
        f"neither uneven tiles ({of('pca', 'pixel_auroc', 'uneven'):.3f})",
        f"nor fray ({of('pca', 'pixel_auroc', 'fray'):.3f}), on whose pixels PaDiM",
        f"PaDiM has {of('padim', 'pixel_auroc', 'fray'):.3f}",
        f"(rank correlation {found['shared_ae'].maps['agreement']:.2f})",
    ]
    chosen = [f"{record.metrics['f1_max']:.3f}" for record in found.values()]
    told.append(f"look alike, {min(chosen)} to {max(chosen)}")
    test, anomalous = (found["pca"].split[part] for part in ("test", "anomalous"))
    assert f"{2 * anomalous / (test + anomalous):.3f}" == min(chosen)

    (tiles,) = (record for spec, record in cut.items() if "'ganomaly'" in spec)
    (svdd,) = (record for spec, record in cut.items() if "'deep_svdd'" in spec)
    for whole, limit in itertools.product(("deep_svdd", "ganomaly", "skip_ganomaly"), ("aupro_30", "aupro_05")):
        (own,) = (record for spec, record in cut.items() if f"'{whole}'" in spec)
        assert own.metrics[limit] > of(whole, limit)
    for limit in ("aupro_30", "aupro_05"):
        assert tiles.metrics[limit] > max(of(label, limit) for label in found if limit in found[label].metrics)
    for kind in ("break", "fray", "uneven"):
        assert tiles.by_kind[kind]["aupro_30"] < of("ganomaly", "aupro_30", kind)
    told += [
        f"from {of('ganomaly', 'aupro_30', 'crack'):.3f} to {tiles.by_kind['crack']['aupro_30']:.3f} on cracks",
        f"{of('ganomaly', 'aupro_30', 'blowhole'):.3f} to {tiles.by_kind['blowhole']['aupro_30']:.3f} on blowholes",
        f"With {tiles.metrics['aupro_30']:.3f}, and {tiles.metrics['aupro_05']:.3f} at 0.05, it is the best",
        f"({of('ganomaly', 'pixel_auroc'):.3f} against {tiles.metrics['pixel_auroc']:.3f})",
        f"({of('ganomaly', 'auroc'):.3f} → {tiles.metrics['auroc']:.3f})",
        f"({of('deep_svdd', 'auroc'):.3f} → {svdd.metrics['auroc']:.3f})",
    ]
    assert [each for each in told if each not in page] == []


def test_what_is_said_of_contamination_and_corruptions_is_what_the_records_hold() -> None:
    groups: dict[tuple[str, str, float, str], list[float]] = defaultdict(list)
    for record in recorded("protocols"):
        if record.job.protocol == "holdout_80_20":
            job = record.job
            groups[job.dataset, job.label, job.contamination, job.corruption].append(record.metrics["auroc"])
    assert {len(found) for found in groups.values()} == {2}
    labels = {label for _, label, *_ in groups}
    assert len(labels) == 10

    def of(label: str, contamination: float = 0.0, corruption: str = "", dataset: str = "mnist") -> float:
        return mean(groups[dataset, label, contamination, corruption])

    def lost(label: str, contamination: float = 0.0, corruption: str = "", dataset: str = "mnist") -> float:
        return of(label, dataset=dataset) - of(label, contamination, corruption, dataset)

    def best(contamination: float, dataset: str) -> str:
        return max(labels, key=lambda label: of(label, contamination, dataset=dataset))

    def at(kind: str) -> list[str]:
        return [f"{kind}(severity={severity})" for severity in (1, 3, 5)]

    other = "fashion_mnist"
    for dataset in ("mnist", other):
        losses = sorted(labels, key=lambda label: lost(label, 0.1, dataset=dataset))
        assert losses[0] == "mean_image"
        assert losses[-1] == "autoencoder"
    assert sorted(labels, key=lambda label: lost(label, 0.1))[1] == "deep_svdd"
    assert best(0.1, "mnist") == best(0.0, other) == "ganomaly"
    assert best(0.1, other) == "shared_ae"
    (faint,) = at("contrast")[2:]
    assert [sum(of(label, 0.0, faint, each) < 0.5 for label in labels) for each in ("mnist", other)] == [7, 6]
    assert max(labels, key=lambda label: of(label, 0.0, faint, other)) == "deep_svdd"
    assert {f"{of('deep_svdd', 0.0, each):.3f}" for each in at("contrast")} == {f"{of('deep_svdd'):.3f}"}
    most = {
        kind: max(lost(label, 0.0, each) for label in labels for each in at(kind))
        for kind in ("jpeg", "gaussian_noise")
    }
    shifted = "gaussian_noise(only='normal',severity=3)"
    assert [sum(of(label, 0.0, shifted, each) < 0.5 for label in labels) for each in ("mnist", other)] == [2, 0]
    for label in ("ganomaly", "ocsvm", "knn"):
        assert lost(label, 0.0, shifted) < 0.01
    page = " ".join((RESULTS / "README.md").read_text(encoding="utf-8").split())

    def both(label: str, contamination: float) -> list[str]:
        return [f"{of(label, contamination, dataset=dataset):.3f}" for dataset in ("mnist", other)]

    told = [
        "autoencoder falls from {0} to {2} on MNIST and from {1} to {3} on Fashion-MNIST".format(
            *both("autoencoder", 0.0), *both("autoencoder", 0.1)
        ),
        "the VAE from {0} to {2} and from {1} to {3}.".format(*both("vae", 0.0), *both("vae", 0.1)),
        f"least on either, {lost('mean_image', 0.1):.3f} and {lost('mean_image', 0.1, dataset=other):.3f}, and on",
        f"Deep SVDD next, {lost('deep_svdd', 0.1):.3f}.",
        f"lose {lost('ganomaly', 0.1):.3f} and {lost('shared_ae', 0.1):.3f} there, "
        f"{lost('ganomaly', 0.1, dataset=other):.3f} and {lost('shared_ae', 0.1, dataset=other):.3f} on Fashion-MNIST",
        f"GANomaly stays the best on MNIST, {of('ganomaly', 0.1):.3f};",
        f"the best on clean images ({of('ganomaly', dataset=other):.3f}), the shared autoencoder is, "
        f"{of('shared_ae', 0.1, dataset=other):.3f}, with the mean image at {of('mean_image', 0.1, dataset=other):.3f}",
        "costs no method more than "
        f"{max(lost(label, 0.01, dataset=dataset) for label in labels for dataset in ('mnist', other)):.3f}.",
        f"the autoencoder at {of('autoencoder', 0.0, faint):.3f}",
        f"GANomaly falls from {of('ganomaly'):.3f} to {of('ganomaly', 0.0, faint):.3f}",
        f"does not notice ({of('deep_svdd'):.3f} at every severity)",
        f"OC-SVM keeps {of('ocsvm', 0.0, faint):.3f} and the mean image {of('mean_image', 0.0, faint):.3f}",
        f"Deep SVDD is the best at {of('deep_svdd', 0.0, faint, other):.3f} again",
        f"JPEG costs no method more than {most['jpeg']:.3f}, noise none more than {most['gaussian_noise']:.3f}",
        f"blur takes the autoencoder to {of('autoencoder', 0.0, at('gaussian_blur')[2]):.3f}",
        f"the shared autoencoder ({of('shared_ae', 0.0, shifted):.3f})",
        f"Skip-GANomaly ({of('skip_ganomaly', 0.0, shifted):.3f})",
        f"GANomaly ({of('ganomaly', 0.0, shifted):.3f})",
    ]
    assert [each for each in told if each not in page] == []


def test_the_account_names_every_processor_that_made_a_record() -> None:
    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    for processor in {record.provenance["cpu"] for folder in FOLDERS for record in recorded(folder)}:
        model = re.search(r"family \d+, model \d+", processor)
        assert (model[0] if model else processor) in page


def test_what_sorted_batches_and_the_best_epoch_make_where_one_class_is_abnormal_is_what_the_records_say() -> None:
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for each in recorded("protocols"):
        if each.job.protocol.startswith("rest_vs_one"):
            found[each.job.method, each.job.dataset].append(each)
    places = set(itertools.product(("ganomaly", "skip_ganomaly"), ("mnist", "cifar10")))
    assert {place: len(records) for place, records in found.items()} == dict.fromkeys(places, 10)

    def means(method: str, dataset: str) -> dict[str, float]:
        records = found[method, dataset]
        return {
            "last": mean(each.metrics["auroc"] for each in records),
            "by lot": mean(each.by_batch or 0.0 for each in records),
            "sorted": mean(each.by_sorted_batch[-1] for each in records),
            "best": mean(max(each.by_sorted_batch) for each in records),
        }

    every = {place: means(*place) for place in places}
    published = of_table("skip_ganomaly_cifar10")["Skip-GANomaly"]["skip_ganomaly_cifar10", "mean"].auroc
    skip, mnist = every["skip_ganomaly", "cifar10"], every["skip_ganomaly", "mnist"]
    theirs, digits = every["ganomaly", "cifar10"], every["ganomaly", "mnist"]
    page = " ".join((RESULTS / "README.md").read_text(encoding="utf-8").split())
    (one,) = (each for each in found["skip_ganomaly", "mnist"] if each.job.normal_class == "not 1")
    (bird,) = (each for each in found["ganomaly", "cifar10"] if each.job.normal_class == "not bird")
    below = sum(each.metrics["auroc"] < 0.5 for each in found["ganomaly", "cifar10"])
    by_lot = [f"{each['by lot']:.3f}" for each in (digits, theirs, mnist, skip)]

    def steps(way: dict[str, float]) -> str:
        return f"from {way['last']:.3f} to {way['sorted']:.3f} to {way['best']:.3f}"

    told = [
        f"of the {published - skip['last']:.3f} between its mean at the last epoch, {skip['last']:.3f}, and the "
        f"{published:.3f} of its paper",
        f"sorted batches make {skip['sorted'] - skip['last']:.3f} and the choice of each class's epoch by test labels "
        f"another {skip['best'] - skip['sorted']:.3f}; for the {published - skip['best']:.3f} that are left",
        f"On MNIST the same two steps lead {steps(mnist)}",
        f"GANomaly goes {steps(digits)} on MNIST and {steps(theirs)} on CIFAR-10",
        f"the last epoch is below chance on {below} of ten classes",
        f"has {one.metrics['auroc']:.3f} at the last epoch and {max(one.by_sorted_batch):.3f} at the best one with",
        f"here it is {bird.metrics['auroc']:.3f} and {bird.by_sorted_batch[-1]:.3f}",
        f"have means of {by_lot[0]}, {by_lot[1]}, {by_lot[2]} and {by_lot[3]}",
    ]
    assert all(way["by lot"] < way["last"] < way["sorted"] < way["best"] for way in every.values())
    assert [each for each in told if each not in page] == []

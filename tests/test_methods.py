"""The methods: they learn, their scores are their own, and their losses are those of the papers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.datasets.digits import Digits
from bench.errors import BenchError
from bench.images import symmetric
from bench.method import Epoch, FitContext, Method
from bench.methods._ede import Networks
from bench.methods.paper import shared_ae
from bench.methods.paper.ocsvm import OneClassSVM
from bench.methods.paper.shared_ae import SharedAE
from bench.metrics import auroc
from bench.registry import Registry
from bench.specs import parse_spec
from bench.testing.images import TEST, auroc_of, lit

NARROW: dict[str, Any] = {
    "alpha": 1.0,
    "width": 8,
    "latent": 4,
    "batch_size": 16,
    "lr": 2e-3,
    "epochs": 3,
    "image_size": 8,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "d1": {},
    "printed": {"adversary": "printed"},
    "decoders": {"adversary": "decoders"},
    "phases": {"updates": "phases"},
    "leftovers": {"updates": "leftovers"},
    "joint": {"updates": "joint", "adversary": "printed"},
    "two_ede": {"variant": "two_ede"},
    "one_ede": {"variant": "one_ede"},
}
ENOUGH: dict[str, tuple[int, float]] = {
    "two_ede": (1024, 1e-3),
    "one_ede": (512, 1e-3),
}
"""Training images and learning rate with which three epochs teach a variant enough, where 256 and 2e-3 do not."""
KERNELS: dict[str, dict[str, Any]] = {
    f"{preprocessing}-{gamma}": {"preprocessing": preprocessing, "gamma": gamma}
    for preprocessing in ("none", "ruff")
    for gamma in ("scale", "median", "max", 0.05)
}
Build = Callable[..., Method]


def build_network(name: str, **parameters: Any) -> Method:
    return SharedAE(**{**NARROW, **VARIANTS[name], **parameters})


def build_kernel(name: str, **parameters: Any) -> Method:
    return OneClassSVM(**{**KERNELS[name], **parameters})


EVERY = pytest.mark.parametrize(
    ("build", "name"),
    [pytest.param(build_network, name, id=name) for name in VARIANTS]
    + [pytest.param(build_kernel, name, id=name) for name in KERNELS],
)
NETWORKS = pytest.mark.parametrize("name", VARIANTS)
pytestmark = pytest.mark.usefixtures("one_thread")


# ---------------------------------------------------------------------------------------------------------------------
# Every method


@EVERY
def test_scores_are_finite_numbers_one_an_image_and_mostly_distinct(build: Build, name: str) -> None:
    images = lit(0, 48, 1)
    scores = build(name, **few(build)).fit(images, FitContext(seed=0)).score(np.concatenate(TEST))
    assert scores.shape == (100,)
    assert np.issubdtype(scores.dtype, np.floating)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 90


@EVERY
def test_the_score_of_an_image_does_not_depend_on_the_images_that_go_with_it(build: Build, name: str) -> None:
    method = build(name, **few(build)).fit(lit(0, 48, 1), FitContext(seed=0))
    images = np.concatenate(TEST)
    whole = method.score(images)
    order = np.random.default_rng(0).permutation(len(images))
    assert method.score(images[order]) == pytest.approx(whole[order], rel=1e-5, abs=1e-6)
    assert method.score(images[:7]) == pytest.approx(whole[:7], rel=1e-5, abs=1e-6)
    assert method.score(images[99:]) == pytest.approx(whole[99:], rel=1e-5, abs=1e-6)
    assert np.array_equal(method.score(images), whole)


@EVERY
def test_the_same_seed_gives_the_same_scores_bit_for_bit(build: Build, name: str) -> None:
    scores = []
    for _ in range(2):
        torch.rand(3)
        np.random.rand(3)  # noqa: NPY002
        scores.append(build(name, **few(build)).fit(lit(0, 48, 1), FitContext(seed=5)).score(TEST[0]))
    assert np.array_equal(scores[0], scores[1])


@EVERY
def test_fitting_and_scoring_leave_images_and_parameters_as_found(build: Build, name: str) -> None:
    method, images = build(name, **few(build)), lit(0, 48, 1)
    images.flags.writeable = False  # as the arrays are that jobs map from disk
    parameters = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}  # type: ignore[arg-type]
    method.fit(images, FitContext(seed=5)).score(images)
    assert np.array_equal(images, lit(0, 48, 1))
    assert {name: getattr(method, name) for name in parameters} == parameters


@EVERY
def test_images_in_colour_are_scored_too(build: Build, name: str) -> None:
    images = lit(0, 48, 1, channels=3)
    scores = build(name, **few(build)).fit(images, FitContext(seed=0)).score(images)
    assert scores.shape == (48,)
    assert np.isfinite(scores).all()


def few(build: Build) -> dict[str, Any]:
    """As little training as will do where it does not matter what is learnt."""
    return {"epochs": 1} if build is build_network else {}


# ---------------------------------------------------------------------------------------------------------------------
# Shared autoencoders: learning


@NETWORKS
def test_a_trained_network_finds_the_anomalies_whichever_class_is_normal_and_an_untrained_one_cannot(
    name: str,
) -> None:
    """An untrained network knows of no normal class, so its two figures sum to 1 and the lower is at most 0.5.

    Of a trained two_ede the lower was 0.947 or more for each of the seeds 1 to 6; with half the images it was 0.58 for
    one of them, and rounding alone decided for which.
    """
    n, lr = ENOUGH.get(name, (256, 2e-3))
    trained, untrained = [], []
    for normal in (0, 1):
        images, context = lit(normal, n, normal), FitContext(seed=3)
        trained.append(auroc_of(build_network(name, lr=lr).fit(images, context), normal))
        # with running statistics: those of the training images alone tell much
        untrained.append(auroc_of(build_network(name, epochs=0, statistics="blend").fit(images, context), normal))
    assert sum(untrained) == pytest.approx(1, abs=1e-3)
    assert min(trained) > 0.9


@NETWORKS
def test_training_moves_every_weight(name: str) -> None:
    images, context = lit(0, 48, 1), FitContext(seed=0)
    before = weights(build_network(name, epochs=0).fit(images, context))
    after = weights(build_network(name, epochs=1).fit(images, context))
    assert before.keys() == after.keys()
    assert all(not torch.equal(before[key], after[key]) for key in before)


@NETWORKS
def test_training_and_scoring_leave_the_global_generators_as_found(
    name: str, generator_states: Callable[[], list[Any]]
) -> None:
    # the kernel machine draws from NumPy's, through scikit-learn; the harness puts that back for every method
    before = generator_states()
    build_network(name, epochs=1).fit(lit(0, 48, 1), FitContext(seed=5)).score(TEST[0])
    assert generator_states() == before


@NETWORKS
def test_another_seed_gives_other_scores(name: str) -> None:
    scores = [build_network(name, epochs=1).fit(lit(0, 48, 1), FitContext(seed=s)).score(TEST[0]) for s in (0, 1)]
    assert (scores[0] != scores[1]).mean() > 0.9


def test_a_variant_has_the_networks_that_it_trains() -> None:
    wanted = {"d1": "e1 d1 e2 d2", "two_ede": "e1 d1 e2 d2", "one_ede": "e1 d1 e2"}
    for name, parts in wanted.items():
        method = build_network(name, epochs=0).fit(lit(0, 16, 1), FitContext(seed=0))
        assert " ".join(part for part, _ in method.networks.named_children()) == parts


def test_images_are_resized_to_the_networks_size() -> None:
    images = np.random.default_rng(0).integers(0, 256, (16, 5, 9, 1), np.uint8)
    method = SharedAE(**{**NARROW, "image_size": 16, "epochs": 1}).fit(images, FitContext(seed=0))
    assert method.score(images[:3]).shape == (3,)


@pytest.mark.parametrize("size", [0, 4, 12, -8])
def test_a_size_that_the_networks_cannot_halve_three_times_is_refused(size: int) -> None:
    with pytest.raises(BenchError, match=rf"image_size={size} is not usable; it should be .* 8"):
        Registry("method").resolve(parse_spec(f"shared_ae(image_size={size})"))


def test_every_epoch_is_told_and_the_method_can_be_scored_after_each() -> None:
    told: list[Epoch] = []
    method = build_network("d1", epochs=2)
    method.fit(lit(0, 32, 1), FitContext(seed=0, on_epoch=told.append))
    assert [(epoch.number, epoch.total) for epoch in told] == [(1, 2), (2, 2)]
    assert all(epoch.finite and epoch.losses.keys() == {"ede1", "ede2"} for epoch in told)
    scores = []
    again = build_network("d1", epochs=2)
    assert isinstance(again, SharedAE)
    for _ in again.fit_epochs(lit(0, 32, 1), FitContext(seed=0)):
        assert np.array_equal(again.score(TEST[0]), again.score(TEST[0]))
        scores.append(again.score(TEST[0]))
    assert not np.isclose(scores[0], scores[1]).all()
    # what is scored after the last epoch is what is scored after the training: scoring in between changed nothing
    assert np.array_equal(scores[1], method.score(TEST[0]))
    assert np.array_equal(scores[1], again.score(TEST[0]))


def weights(method: Method) -> dict[str, Tensor]:
    """Copies of a fitted method's parameters by name."""
    assert isinstance(method, SharedAE)
    return {name: parameter.detach().clone() for name, parameter in method.networks.named_parameters()}


# ---------------------------------------------------------------------------------------------------------------------
# Shared autoencoders: the losses, computed a second time from the paper's equations


def distance(a: Tensor, b: Tensor, norm: str) -> Tensor:
    """The mean over the batch of the distance between images, or latents, a mean over its elements."""
    difference = (a - b).flatten(1)
    if norm == "l1":
        return difference.abs().mean()
    return difference.pow(2).mean(dim=1).sqrt().mean() if norm == "l2" else difference.pow(2).mean()


def losses_of_the_paper(method: SharedAE, x: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """L_EDE1 (eq. 6) and L_EDE2 (eq. 7) of the networks as they are."""
    e1, d1, e2, d2 = (getattr(method.networks, name) for name in ("e1", "d1", "e2", "d2"))
    alpha, beta, norm, stop = method.alpha, method.beta, method.norm, method.stop_gradient
    z = e1(x)
    fixed_z = z.detach() if stop == "target" else z
    x1, x2 = d1(z), d2(z)
    z1, z2 = e2(x1), e2(x2)
    x2_prime = d1(z2.detach() if stop == "fake" else z2)
    z2_prime = e2(x2_prime)
    eq1 = alpha * distance(x, x1, norm) + beta * distance(fixed_z, z1, norm)
    eq2 = alpha * distance(x, x2, norm) + beta * distance(fixed_z, z2, norm)
    compared = z2 if method.second_latent == "z2" else z.detach() if stop == "second" else fixed_z
    eq3 = alpha * distance(x, x2_prime, norm) + beta * distance(compared, z2_prime, norm)
    return eq1 / n - (1 - 1 / n) * eq3, eq2 / n + (1 - 1 / n) * eq3


def standing_still(epochs: int, **parameters: Any) -> tuple[SharedAE, Tensor, list[Epoch]]:
    """A method trained with a learning rate of 0 on one batch an epoch, that batch, and the epochs.

    Its weights stay what they were, so that its losses, and the gradients of its last step, can be computed again.
    """
    images = lit(0, 12, 1)
    method = SharedAE(**{**NARROW, "epochs": epochs, "lr": 0.0, "alpha": 2.0, "beta": 3.0, **parameters})
    told: list[Epoch] = []
    method.fit(images, FitContext(seed=0, on_epoch=told.append))
    method.networks.train()  # batch normalisation as in the step
    return method, symmetric(torch.from_numpy(images)).permute(0, 3, 1, 2), told


@pytest.mark.parametrize("updates", ["alternating", "joint", "leftovers"])
@pytest.mark.parametrize("norm", ["l1", "l2", "mse"])
def test_the_losses_are_equations_6_and_7_in_every_epoch(updates: str, norm: str) -> None:
    method, x, told = standing_still(4, updates=updates, norm=norm)
    for n in (1, 4):
        ede1, ede2 = losses_of_the_paper(method, x, n)
        assert told[n - 1].losses["ede1"] == pytest.approx(ede1.item(), rel=1e-4)
        assert told[n - 1].losses["ede2"] == pytest.approx(ede2.item(), rel=1e-4)


def test_phases_are_the_two_parts_of_the_losses() -> None:
    method, x, told = standing_still(4, updates="phases", second_latent="z2")
    for n in (1, 4):
        ede1, ede2 = losses_of_the_paper(method, x, n)
        assert told[n - 1].losses["phase1"] == pytest.approx((ede1 + ede2).item(), rel=1e-4)
        wanted = (1 - 1 / n) * (losses_of_the_paper(method, x, 10**9)[1].item())
        assert told[n - 1].losses["phase2"] == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_the_schedule_is_a_power_of_the_epoch_down_to_a_floor() -> None:
    plain = standing_still(1)[2][0].losses["ede2"]
    told = standing_still(4, schedule_power=2.0, schedule_floor=0.2)[2]
    method, x, _ = standing_still(1)
    adversarial = 2 * losses_of_the_paper(method, x, 2)[1].item() - plain
    for n, weight in ((1, 1.0), (2, 0.25), (3, 0.2), (4, 0.2)):
        wanted = weight * plain + (1 - weight) * adversarial
        assert told[n - 1].losses["ede2"] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("updates", ["alternating", "joint"])
@pytest.mark.parametrize("stop_gradient", ["none", "target", "second", "fake"])
def test_as_printed_each_loss_reaches_its_own_networks_and_no_others(updates: str, stop_gradient: str) -> None:
    method, x, _ = standing_still(3, updates=updates, stop_gradient=stop_gradient, adversary="printed")
    parts = dict(method.networks.named_children())
    found = {name: [p.grad.clone() for p in part.parameters() if p.grad is not None] for name, part in parts.items()}
    ede1, ede2 = losses_of_the_paper(method, x, 3)
    # what the encoders hold at the end: of the alternating step its second half, of the joint step both losses
    of_encoders = ede2 if updates == "alternating" else ede1 + ede2
    for loss, name in ((ede1, "d1"), (ede2, "d2"), (of_encoders, "e1"), (of_encoders, "e2")):
        wanted = torch.autograd.grad(loss, list(parts[name].parameters()), retain_graph=True)
        scale = max(float(gradient.abs().max()) for gradient in wanted)
        assert scale > 0
        assert len(found[name]) == len(wanted)
        for gradient, expected in zip(found[name], wanted, strict=True):
            assert torch.allclose(gradient, expected, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("updates", ["alternating", "joint", "phases"])
@pytest.mark.parametrize("adversary", ["d1", "decoders", "gan"])
def test_the_adversary_reaches_the_networks_that_it_names(updates: str, adversary: Any) -> None:
    """Gradients of the step: of phase 1 in all of an EDE, of phase 2 in those that play it."""
    method, x, _ = standing_still(3, updates=updates, adversary=adversary)
    _, ede2 = losses_of_the_paper(method, x, 3)
    first, second = losses_of_the_paper(method, x, 1)
    phase2 = ede2 - second / 3
    maximising, minimising = (set(names.split()) for names in shared_ae.REACHED[adversary])
    for name, part in method.networks.named_children():
        sign = (name in minimising) - (name in maximising)
        if updates == "phases":  # the second step's gradients are what is left
            wanted = sign * phase2
        elif updates == "joint":
            wanted = (first + second) / 3 + sign * phase2
        else:  # the second half's, or for D1 the first's
            wanted = first / 3 - phase2 if name == "d1" else second / 3 + (name in minimising) * phase2
        found = [parameter.grad for parameter in part.parameters()]
        if sign == 0 and updates == "phases":
            assert all(gradient is None or not gradient.any() for gradient in found), name
            continue
        expected = torch.autograd.grad(wanted, list(part.parameters()), retain_graph=True)
        scale = max(float(gradient.abs().max()) for gradient in expected)
        for gradient, correct in zip(found, expected, strict=True):
            assert gradient is not None
            assert torch.allclose(gradient, correct, rtol=1e-3, atol=1e-4 * scale), name


def test_leftovers_of_one_loss_stay_in_the_decoder_of_the_other() -> None:
    method, x, _ = standing_still(1, updates="leftovers", schedule_power=0.0, schedule_floor=0.5)
    # with n = 1 and a floor the weights are 1 and 0: what EDE2's loss leaves in D1 is nothing
    assert not any(parameter.grad.any() for parameter in method.networks.d1.parameters() if parameter.grad is not None)
    method, x, _ = standing_still(2, updates="leftovers")
    _, ede2 = losses_of_the_paper(method, x, 2)
    wanted = torch.autograd.grad(ede2, list(method.networks.d1.parameters()))
    scale = max(float(gradient.abs().max()) for gradient in wanted)
    for parameter, expected in zip(method.networks.d1.parameters(), wanted, strict=True):
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, expected, rtol=1e-3, atol=1e-4 * scale)


def test_the_alternating_step_changes_one_decoder_in_each_half_and_the_encoders_in_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # two epochs of one step: in the first, the part of the loss that the other decoder has a share in weighs nothing
    method = SharedAE(**{**NARROW, "epochs": 2})
    halves: list[set[str]] = []
    real = Networks.descend

    def watched(*arguments: Any) -> None:
        before = weights(method)
        real(*arguments)
        after = weights(method)
        halves.append({name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])})

    monkeypatch.setattr(Networks, "descend", watched)
    method.fit(lit(0, 16, 1), FitContext(seed=0))
    assert halves == [{"e1", "d1", "e2"}, {"e1", "d2", "e2"}] * 2


def test_d1_may_have_a_rate_of_its_own() -> None:
    def moved(rate: float) -> dict[str, float]:
        before = weights(build_network("d1", epochs=0).fit(lit(0, 16, 1), FitContext(seed=0)))
        after = weights(build_network("d1", epochs=1, d1_rate=rate).fit(lit(0, 16, 1), FitContext(seed=0)))
        return {name: float((after[name] - before[name]).abs().max()) for name in before}

    one, quarter = moved(1.0), moved(0.25)
    for name in one:
        # Adam's first step is as long as the rate
        assert quarter[name] / one[name] == pytest.approx(0.25 if name.startswith("d1.") else 1.0, rel=0.05)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("norm", ["l1", "l2", "mse"])
def test_the_score_is_algorithm_2_and_its_like_for_the_smaller_variants(name: str, norm: str) -> None:
    settings = {"epochs": 1, "norm": norm, "omega1": 0.3, "statistics": "blend"}
    method = build_network(name, **settings).fit(lit(0, 16, 1), FitContext(seed=0))
    assert isinstance(method, SharedAE)
    nets = method.networks
    for image, score in zip(TEST[1][:3], method.score(TEST[1][:3]), strict=True):
        with torch.no_grad():
            x = symmetric(torch.from_numpy(image)).permute(2, 0, 1)[None]
            z = nets.e1(x)
            if name == "one_ede":
                wanted = distance(z, nets.e2(nets.d1(z)), norm)
            else:
                z2 = nets.e2(nets.d2(z))
                wanted = 0.3 * distance(z, z2, norm) + 0.7 * distance(z, nets.e2(nets.d1(z2)), norm)
        assert score == pytest.approx(wanted.item(), rel=1e-3)


# ---------------------------------------------------------------------------------------------------------------------
# One-class SVM


@pytest.mark.parametrize("name", KERNELS)
def test_the_kernel_machine_tells_the_digit_0_from_the_others(name: str) -> None:
    """Measured: 0.995 to 1.0. The bright halves are too easy for raw pixels and too hard after Ruff's preprocessing,
    whose principal components hold only what varies within the normal class."""
    content = Digits().read(Path())
    zero, others = content.images[content.labels == 0], content.images[content.labels != 0]
    method = build_kernel(name).fit(zero[:128], FitContext(seed=0))
    labels = np.repeat(np.array([0, 1], dtype=np.uint8), [len(zero) - 128, 200])
    assert auroc(labels, method.score(np.concatenate([zero[128:], others[:200]]))) > 0.98


def by_hand(images: np.ndarray, preprocessing: str) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Training rows and the preparation of others, written out from Ruff et al., section 4.1."""

    def pixels(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1) / 255.0

    if preprocessing == "none":
        return pixels(images), pixels

    def normalised(images: np.ndarray) -> np.ndarray:
        centred = pixels(images) - pixels(images).mean(axis=1, keepdims=True)
        return centred / np.abs(centred).mean(axis=1, keepdims=True)

    low, high = normalised(images).min(), normalised(images).max()
    scaled = (normalised(images) - low) / (high - low)
    mean = scaled.mean(axis=0)
    _, values, axes = np.linalg.svd(scaled - mean, full_matrices=False)
    share = np.cumsum(values**2) / np.sum(values**2)
    kept = axes[: int(np.searchsorted(share, 0.95)) + 1]

    def prepared(images: np.ndarray) -> np.ndarray:
        return ((normalised(images) - low) / (high - low) - mean) @ kept.T

    return prepared(images), prepared


@pytest.mark.parametrize("name", KERNELS)
def test_the_kernel_machine_is_scikit_learns_on_rows_prepared_by_hand(name: str) -> None:
    from sklearn.svm import OneClassSVM as Reference

    images = lit(0, 64, 1)
    rows, prepared = by_hand(images, KERNELS[name]["preprocessing"])
    squared = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)[np.triu_indices(len(rows), k=1)]
    chosen = {"scale": 1 / (rows.shape[1] * rows.var()), "median": 1 / np.median(squared), "max": 1 / squared.max()}
    gamma = chosen.get(KERNELS[name]["gamma"], KERNELS[name]["gamma"])
    reference = Reference(kernel="rbf", nu=0.2, gamma=gamma).fit(rows)
    images_to_score = np.concatenate([TEST[0][:20], TEST[1][:20]])
    wanted = -reference.decision_function(prepared(images_to_score))
    found = build_kernel(name, nu=0.2).fit(images, FitContext(seed=0)).score(images_to_score)
    assert found == pytest.approx(wanted, rel=0.02, abs=0.02 * float(np.ptp(wanted)))


@pytest.mark.parametrize("preprocessing", ["none", "ruff"])
def test_the_candidates_are_the_machine_under_each_gamma_of_the_grid(preprocessing: str) -> None:
    images, some = lit(0, 64, 1), np.concatenate([TEST[0][:20], TEST[1][:20]])
    fitted = OneClassSVM(preprocessing=preprocessing).fit(images, FitContext(seed=0))  # type: ignore[arg-type]
    candidates = list(fitted.candidates(some))
    assert [parameters for parameters, _ in candidates] == [{"gamma": 2.0**power} for power in range(-10, 0)]
    for parameters, scores in candidates:
        alone = OneClassSVM(preprocessing=preprocessing, gamma=parameters["gamma"])  # type: ignore[arg-type]
        wanted = alone.fit(images, FitContext(seed=0)).score(some)
        assert scores == pytest.approx(wanted, rel=0.02, abs=0.02 * float(np.ptp(wanted)))

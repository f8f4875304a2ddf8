"""AnoGAN: its networks and losses are DCGAN's, its score is what the search in latent space ends at."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from bench.images import symmetric
from bench.method import FitContext, Images
from bench.methods.rivals.anogan import AnoGAN
from bench.testing.images import TEST, auroc_of, lit

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {"width": 4, "latent": 8, "batch_size": 16, "image_size": 8, "lr": 1e-3}
SEARCH: dict[str, Any] = {"search_steps": 20, "search_lr": 0.05}


@pytest.fixture(scope="module")
def fitted() -> AnoGAN:
    return AnoGAN(**SMALL, **SEARCH, epochs=8).fit(lit(0, 256, 1), FitContext(seed=0))


def prepared(images: Images) -> torch.Tensor:
    return symmetric(torch.from_numpy(images).permute(0, 3, 1, 2))


def test_it_learns_either_half_and_an_untrained_copy_does_not() -> None:
    trained, untrained = [], []
    for normal in (0, 1):
        for reached, epochs in ((trained, 8), (untrained, 0)):
            method = AnoGAN(**SMALL, **SEARCH, epochs=epochs).fit(lit(normal, 256, normal), FitContext(seed=3))
            reached.append(auroc_of(method, normal))
    assert min(trained) > 0.95, trained
    assert min(untrained) < 0.75, untrained


def test_training_moves_every_weight() -> None:
    def weights(epochs: int) -> dict[str, torch.Tensor]:
        method = AnoGAN(**SMALL, epochs=epochs).fit(lit(0, 48, 1), FitContext(seed=0))
        return {name: weight.detach() for name, weight in method.networks.named_parameters()}

    before, after = weights(0), weights(1)
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_the_networks_are_those_of_dcgan_for_images_of_32() -> None:
    networks = AnoGAN().build(3)
    z = torch.rand(2, 100, 1, 1)
    image = networks.generator(z)
    judged = networks.discriminator(image)
    assert image.shape == (2, 3, 32, 32)
    assert image.abs().max() <= 1
    assert judged.logit.shape == (2,)
    assert judged.features.shape == (2, 256, 4, 4)
    # kernels of 4×4 without biases, and two numbers a channel in batch normalisation
    scales = 2 * (64 + 128 + 256)
    assert (
        sum(w.numel() for w in networks.generator.parameters())
        == 16 * (100 * 256 + 256 * 128 + 128 * 64 + 64 * 3) + scales
    )
    assert sum(w.numel() for w in networks.discriminator.parameters()) == (
        16 * (3 * 64 + 64 * 128 + 128 * 256 + 256) + scales - 2 * 64
    )
    assert [type(layer).__name__ for layer in networks.generator][-2:] == ["ConvTranspose2d", "Tanh"]


def test_a_step_lowers_the_two_losses_of_the_game_each_by_its_own_network() -> None:
    method = AnoGAN(**SMALL)
    torch.manual_seed(0)
    method.networks = method.build(1)
    plain = copy.deepcopy(method.networks)
    optimisers = {name: method.adam(side.parameters()) for name, side in plain.named_children()}
    x = torch.rand(16, 1, 8, 8) * 2 - 1
    torch.manual_seed(1)
    losses = method.step(FitContext(seed=0))(x, torch.ones(()))
    torch.manual_seed(1)
    made = plain.generator(torch.rand(16, 8, 1, 1) * 2 - 1)
    p_real = plain.discriminator(x).logit.sigmoid()
    p_fake = plain.discriminator(made.detach()).logit.sigmoid()
    loss_d = -(p_real.log().mean() + (1 - p_fake).log().mean())
    loss_d.backward()
    optimisers["discriminator"].step()
    loss_g = -plain.discriminator(made).logit.sigmoid().log().mean()
    plain.generator.zero_grad()
    loss_g.backward()
    optimisers["generator"].step()
    assert float(losses["discriminator"].detach()) == pytest.approx(float(loss_d.detach()), rel=1e-5)
    assert float(losses["generator"].detach()) == pytest.approx(float(loss_g.detach()), rel=1e-5)
    for (name, weight), expected in zip(method.networks.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(weight, expected, atol=1e-5), name


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_the_mismatch_is_the_weighted_sum_of_absolute_differences(fitted: AnoGAN, share: float) -> None:
    x, z = prepared(TEST[0][:5]), torch.rand(5, 8, 1, 1) * 2 - 1
    networks = fitted.networks
    # running statistics for all, so that the layers can be called as they are
    plain = AnoGAN(**SMALL, share=share, score_in_train_mode=True)
    plain.build(1)
    plain.networks = networks
    with torch.no_grad():
        made = networks.generator(z)
        wanted = (1 - share) * (x - made).abs().numpy().sum(axis=(1, 2, 3))
        features = networks.discriminator.features
        wanted += share * (features(x) - features(made)).abs().numpy().sum(axis=(1, 2, 3))
        assert plain.mismatch(x)(z).numpy() == pytest.approx(wanted, rel=1e-4)


def test_the_search_is_adam_on_z_alone_and_the_score_is_the_mismatch_that_it_ends_at(fitted: AnoGAN) -> None:
    """Each image by itself, with torch's plain Adam."""
    images = TEST[1][:3]
    z = (2 * torch.rand(1, 8, 1, 1, generator=torch.Generator().manual_seed(0)) - 1).requires_grad_()
    start, scores = z.detach().clone(), fitted.score(images)
    for image, score in zip(prepared(images).split(1), scores, strict=True):
        z.data.copy_(start)
        optimiser = torch.optim.Adam([z], lr=0.05, betas=(0.5, 0.999), fused=False)
        for _ in range(20):
            optimiser.zero_grad()
            fitted.mismatch(image)(z).backward()
            optimiser.step()
        assert float(fitted.mismatch(image)(z)) == pytest.approx(float(score), rel=1e-3)


def test_the_search_lowers_the_mismatch_and_more_steps_lower_it_further(fitted: AnoGAN) -> None:
    means = []
    for steps in (0, 5, 20, 80):
        fitted.search_steps = steps
        means.append(float(fitted.score(np.concatenate(TEST)).mean()))
    fitted.search_steps = SEARCH["search_steps"]
    assert means == sorted(means, reverse=True)
    assert means[-1] < 0.95 * means[0]


def test_the_search_leaves_the_networks_as_they_are(fitted: AnoGAN) -> None:
    before = {name: value.clone() for name, value in fitted.networks.state_dict().items()}
    fitted.score(TEST[0])
    assert all(torch.equal(value, before[name]) for name, value in fitted.networks.state_dict().items())


def test_the_score_of_an_image_is_its_own() -> None:
    # after many steps, in which rounding can grow
    method = AnoGAN(**SMALL, epochs=2, search_steps=200, search_lr=0.01).fit(lit(0, 48, 1), FitContext(seed=0))
    images = np.concatenate(TEST)[40:60]
    whole = method.score(images)
    order = np.random.default_rng(0).permutation(len(images))
    allowed = 1e-4 * float(np.ptp(whole))
    assert method.score(images[order]) == pytest.approx(whole[order], abs=allowed)
    alone = np.concatenate([method.score(images[i : i + 1]) for i in range(2)])
    assert alone == pytest.approx(whole[:2], abs=allowed)
    assert np.array_equal(method.score(images), whole)


def test_reconstructions_are_nearer_to_their_images_than_the_search_s_start(fitted: AnoGAN) -> None:
    images = TEST[0]
    found = fitted.reconstruct(images)
    fitted.search_steps = 0
    start = fitted.reconstruct(images)
    fitted.search_steps = SEARCH["search_steps"]
    assert found is not None and start is not None
    assert found.shape == images.shape and found.dtype == np.uint8
    assert len(np.unique(start.reshape(len(start), -1), axis=0)) == 1
    distance = [np.abs(made.astype(int) - images).mean() for made in (found, start)]
    assert distance[0] < distance[1]


def test_another_seed_gives_other_scores_and_colour_works() -> None:
    colour = lit(0, 48, 1, channels=3)
    scores = []
    for seed in (0, 1):
        method = AnoGAN(**SMALL, **SEARCH, epochs=1).fit(colour, FitContext(seed=seed))
        scores.append(method.score(lit(0, 20, 7, channels=3)))
    assert np.isfinite(scores).all()
    assert not np.allclose(scores[0], scores[1])

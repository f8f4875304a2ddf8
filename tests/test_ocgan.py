"""OCGAN: its networks, its four losses and its mining are what its authors describe, and it learns."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.images import resized, symmetric
from bench.method import FitContext
from bench.methods._games import called_real
from bench.methods.rivals.ocgan import (
    OCGAN,
    Networks,
    decoder,
    encoder,
    image_judge,
    latent_judge,
    told_apart,
    uniform_like,
)
from bench.testing.images import TEST, auroc_of, lit

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {
    "image_size": 8,
    "width": 8,
    "judge_width": 4,
    "batch_size": 16,
    "epochs": 2,
    "lr": 2e-3,
}
SCORES = ("mse", "d_noisy_reconstruction", "d_noisy_image", "d_reconstruction")


def fitted(seed: int = 0, channels: int = 1, **parameters: Any) -> OCGAN:
    return OCGAN(**{**SMALL, **parameters}).fit(lit(0, 48, 1, channels), FitContext(seed=seed))


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


# ---------------------------------------------------------------------------------------------------------------------
# Learning and scoring


@pytest.mark.slow
def test_it_learns_which_half_is_bright() -> None:
    figures = {
        epochs: [
            auroc_of(OCGAN(**{**SMALL, "epochs": epochs}).fit(lit(normal, 256, normal), FitContext(seed=3)), normal)
            for normal in (0, 1)
        ]
        for epochs in (0, 8)
    }
    assert min(figures[8]) > 0.9, figures
    assert min(figures[0]) < 0.7, figures


@pytest.mark.parametrize("score_by", SCORES)
def test_each_score_is_finite_distinct_and_the_image_s_own(score_by: str) -> None:
    method, images = fitted(score_by=score_by), np.concatenate(TEST)
    scores = method.score(images)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 90
    assert method.score(images[:16]) == pytest.approx(scores[:16], abs=1e-5 * float(np.ptp(scores)), rel=1e-5)
    assert np.array_equal(method.score(images), scores)
    assert not np.allclose(fitted(seed=1, score_by=score_by).score(images), scores)
    assert method.reconstruct(images).shape == (100, 8, 8, 1)


@pytest.mark.parametrize("score_by", SCORES)
def test_each_score_is_higher_for_what_is_less_real(score_by: str) -> None:
    """By definition: the error itself, or the negative logit of what the authors' test code judges."""
    method = fitted(score_by=score_by, epochs=4)
    nets, images = method.networks, lit(1, 16, 4)
    x = symmetric(torch.from_numpy(images).permute(0, 3, 1, 2))
    n = 0.2 * noise(1, 8, 8)

    def judged(image: Tensor) -> Tensor:
        return nets.d_visual(image)[:, 0, 0, 0]

    formulas = {
        "mse": lambda: (x - nets.decoder(nets.encoder(x + n))).square().mean(dim=(1, 2, 3)),
        "d_noisy_reconstruction": lambda: -judged(nets.decoder(nets.encoder(x + n))),
        "d_noisy_image": lambda: -judged(x + n),
        "d_reconstruction": lambda: -judged(nets.decoder(nets.encoder(x))),
    }
    assert method.passes is not None
    method.passes = None  # the layers' own statistics in both, for a plain evaluation
    with torch.no_grad():
        wanted = formulas[score_by]()
    assert method.score(images) == pytest.approx(wanted.numpy(), rel=1e-4, abs=1e-5)


def test_the_visual_discriminator_knows_the_class_from_what_is_none() -> None:
    """Which the scores that it gives rest on; it was shown no other images than decoded ones."""
    method = fitted(score_by="d_noisy_image", epochs=8)
    blank = np.zeros((20, 8, 8, 1), np.uint8)
    assert np.median(method.score(TEST[0])) < np.median(method.score(blank))


def test_images_in_colour_are_scored_and_reconstructed() -> None:
    method, images = fitted(channels=3, epochs=1), lit(0, 5, 2, channels=3)
    assert np.isfinite(method.score(images)).all()
    assert method.reconstruct(images).shape == (5, 8, 8, 3)


# ---------------------------------------------------------------------------------------------------------------------
# Networks


@pytest.mark.parametrize("size", [8, 16, 32, 61])
def test_networks_lead_from_images_to_bounded_vectors_and_back(size: int) -> None:
    nets, x = Networks(3, 4, 2, 5, size), torch.randn(2, 3, size, size)
    z = nets.encoder(x)
    assert z.shape == (2, 5, 1, 1)
    assert z.abs().max() < 1
    assert nets.decoder(z).shape == x.shape
    assert nets.decoder(z).abs().max() <= 1
    assert nets.d_visual(x).shape == nets.classifier(x).shape == (2, 1, 1, 1)
    assert nets.d_latent(z).shape == (2, 16)


def test_at_the_authors_size_the_networks_have_the_authors_weights() -> None:
    """By hand: 5×5 kernels throughout, biases in the first and last layers, batch norms in between."""

    def count(network: nn.Module) -> int:
        return sum(weight.numel() for weight in network.parameters())

    norms = 2 * (128 + 256)
    assert count(encoder(3, 64, 16, 61)) == 25 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 16) + 64 + norms
    assert count(decoder(3, 64, 16, 61)) == 25 * (16 * 256 + 256 * 128 + 128 * 64 + 64 * 3) + 3 + norms + 2 * 64
    assert count(image_judge(3, 12, 61)) == 25 * (3 * 12 + 12 * 24 + 24 * 48 + 48) + 12 + 1 + 2 * (24 + 48)
    assert count(latent_judge(16)) == 17 * 128 + 129 * 64 + 65 * 32 + 33 * 16


def test_at_the_authors_size_the_networks_are_the_authors_layer_by_layer() -> None:
    """Written out with torch's functions, on one batch: 5×5, stride 2, no padding, LeakyReLU(0.2) down, ReLU up."""
    torch.manual_seed(0)
    nets, f = Networks(3, 4, 3, 5, 61).eval(), nn.functional
    for layer in nets.modules():
        if isinstance(layer, nn.BatchNorm2d):  # as if it had seen something
            nn.init.normal_(layer.running_mean, 0, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    state = nets.state_dict()

    def weights(part: str) -> list[tuple[Tensor, Tensor | None]]:
        """Of each convolution, in order, with its bias."""
        return [
            (state[name], state.get(name.replace("weight", "bias")))
            for name in state
            if name.startswith(part) and state[name].dim() == 4
        ]

    def normalised(x: Tensor, part: str, number: int) -> Tensor:
        names = [name.removesuffix(".running_mean") for name in state if name.startswith(part) and "mean" in name]
        keys = ("running_mean", "running_var", "weight", "bias")
        mean, variance, scale, offset = (state[f"{names[number]}.{key}"][:, None, None] for key in keys)
        return (x - mean) / (variance + 1e-5).sqrt() * scale + offset

    def down(x: Tensor, part: str) -> Tensor:
        first, second, third, last = weights(part)
        x = f.leaky_relu(f.conv2d(x, *first, stride=2), 0.2)
        x = f.leaky_relu(normalised(f.conv2d(x, *second, stride=2), part, 0), 0.2)
        x = f.leaky_relu(normalised(f.conv2d(x, *third, stride=2), part, 1), 0.2)
        return f.conv2d(x, *last)

    def up(z: Tensor) -> Tensor:
        first, second, third, last = weights("decoder")
        x = f.relu(normalised(f.conv_transpose2d(z, *first), "decoder", 0))
        x = f.relu(normalised(f.conv_transpose2d(x, *second, stride=2), "decoder", 1))
        x = f.relu(normalised(f.conv_transpose2d(x, *third, stride=2), "decoder", 2))
        return f.conv_transpose2d(x, *last, stride=2).tanh()

    x = noise(2, 3, 61, 61)
    with torch.no_grad():
        z = nets.encoder(x)
        assert torch.allclose(z, down(x, "encoder").tanh(), atol=1e-6)
        assert torch.allclose(nets.decoder(z), up(z), atol=1e-6)
        assert torch.allclose(nets.d_visual(x), down(x, "d_visual"), atol=1e-6)
        assert torch.allclose(nets.classifier(x), down(x, "classifier"), atol=1e-6)


# ---------------------------------------------------------------------------------------------------------------------
# Losses and mining


def test_being_taken_for_real_and_being_told_apart_are_cross_entropies() -> None:
    real, fake = noise(6, 1), noise(12, 1)[6:]
    p_real, p_fake = 1 / (1 + (-real).exp()), 1 / (1 + (-fake).exp())
    assert float(called_real(real)) == pytest.approx(float(-p_real.log().mean()), rel=1e-5)
    wanted = 0.5 * (-p_real.log().mean() - (1 - p_fake).log().mean())
    assert float(told_apart(real, fake)) == pytest.approx(float(wanted), rel=1e-5)


def test_a_step_trains_by_the_four_losses_of_their_formulas() -> None:
    """Against plain passes with the same draws, dropout switched off; each network by its own loss alone."""
    method = OCGAN(**{**SMALL, "epochs": 1, "mining_from": 0.0})
    torch.manual_seed(0)
    nets = method.networks = method.build(1)
    nets.decoder[8].eval()
    plain, x = copy.deepcopy(nets), noise(6, 1, 8, 8).tanh()
    step = method.step(FitContext(seed=0))
    torch.manual_seed(5)
    losses = step(x, torch.ones(()))

    def log_loss(logits: Tensor, real: bool) -> Tensor:
        return nn.functional.binary_cross_entropy(logits.sigmoid(), torch.full_like(logits, float(real)))

    torch.manual_seed(5)
    z = plain.encoder(x + 0.2 * torch.randn_like(x))
    x_hat, u, s, v = plain.decoder(z), *(uniform_like(z) for _ in range(3))
    wanted = {
        "latent": 0.5 * (log_loss(plain.d_latent(s), True) + log_loss(plain.d_latent(z.detach()), False)),
        "visual": 0.5
        * (log_loss(plain.d_visual(x), True) + log_loss(plain.d_visual(plain.decoder(u).detach()), False)),
        "classifier": 0.5
        * (
            log_loss(plain.classifier(x_hat.detach()), True)
            + log_loss(plain.classifier(plain.decoder(u).detach()), False)
        ),
        "reconstruction": 0.5 * (x - x_hat).square().mean(),
    }
    for name, value in wanted.items():
        assert losses[name].item() == pytest.approx(value.item(), rel=1e-4), name

    def descend(loss: Tensor, *networks: nn.Module) -> None:
        weights = [weight for network in networks for weight in network.parameters()]
        optimiser = torch.optim.Adam(weights, lr=2e-3, betas=(0.5, 0.999))
        loss.backward(inputs=weights, retain_graph=True)
        optimiser.step()

    descend(wanted["latent"], plain.d_latent)
    descend(wanted["visual"], plain.d_visual)
    descend(wanted["classifier"], plain.classifier)
    free = v.atanh().requires_grad_()
    fake = plain.classifier(plain.decoder(free.tanh()))
    (slope,) = torch.autograd.grad(-(1 - fake.sigmoid()).log().sum(), free)
    deceived = 10 * log_loss(plain.d_latent(z), True)
    deceived = deceived + log_loss(plain.d_visual(plain.decoder((free - 2 * slope).detach().tanh())), True)
    descend(deceived + 10 * wanted["reconstruction"], plain.encoder, plain.decoder)
    for (name, weight), expected in zip(nets.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(weight, expected, atol=2e-5), name


def test_mined_negatives_stay_inside_and_look_less_like_the_class_to_the_classifier() -> None:
    method = fitted(epochs=8, mining_steps=5)
    nets = method.networks
    torch.manual_seed(0)
    u = uniform_like(torch.zeros(64, 16, 1, 1))
    mined = method.mined(u, torch.tensor(2.0))

    def loss(latent: Tensor) -> Tensor:
        """Of calling what it decodes to the class."""
        with torch.no_grad():
            return nn.functional.softplus(-nets.classifier(nets.decoder(latent))).flatten()

    assert not torch.equal(u, mined)
    assert mined.abs().max() < 1
    assert loss(mined).mean() > loss(u).mean()
    assert (loss(mined) > loss(u)).float().mean() > 0.8
    assert torch.equal(method.mined(u, torch.tensor(1e6)).abs().max() < 1, torch.tensor(True))
    assert torch.allclose(method.mined(u, torch.tensor(0.0)), u, atol=1e-5)


def test_mining_begins_after_its_share_of_the_epochs() -> None:
    """Two trainings of four epochs of which one mines in the last two are the same in the first two."""
    images = lit(0, 48, 1)

    def weights(mining_from: float) -> list[Tensor]:
        method = OCGAN(**{**SMALL, "epochs": 4, "validation": 0.0, "mining_from": mining_from})
        epochs = method.fit_epochs(images, FitContext(seed=0))
        return [method.networks.decoder[0].weight.detach().clone() for _ in epochs]

    half, never = weights(0.5), weights(1.0)
    assert torch.equal(half[1], never[1])
    assert not torch.allclose(half[3], never[3], atol=1e-4)


def test_the_noise_of_scoring_is_the_same_for_every_image() -> None:
    method = OCGAN()
    x = torch.from_numpy(resized(lit(0, 3, 1), 32)).permute(0, 3, 1, 2).float()
    added = method.noisy(x) - x
    assert torch.allclose(added[0], added[2], atol=1e-4)
    assert float(added.std()) == pytest.approx(0.2, rel=0.1)

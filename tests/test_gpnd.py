"""GPND: its densities, its networks and losses, and that it learns."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import gammaln
from scipy.stats import gennorm
from torch import Tensor, nn

from bench.errors import BenchError
from bench.images import resized
from bench.method import FitContext
from bench.methods._tangent import GeneralisedNormals, HistogramDensity, with_log_volume
from bench.methods.rivals.gpnd import GPND, Networks
from bench.testing.images import TEST, auroc_of, lit

pytestmark = pytest.mark.usefixtures("one_thread")

NARROW: dict[str, Any] = {"width": 4, "latent": 4, "batch_size": 16, "epochs": 4}


def fitted(normal: int = 0, n: int = 48, channels: int = 1, seed: int = 0, **parameters: Any) -> GPND:
    return GPND(**{**NARROW, **parameters}).fit(lit(normal, n, 1, channels), FitContext(seed=seed))


@pytest.mark.slow
def test_it_learns_whichever_class_is_normal() -> None:
    """Measured: 1.0 and 1.0; untrained, its reconstructions rank one of the two halves first, whichever is normal."""

    def least(epochs: int, *parts: str) -> float:
        figures = []
        for normal in (0, 1):
            method = fitted(normal, 192, epochs=epochs)
            for part in parts:
                method.score_by = part  # type: ignore[assignment]
                figures.append(auroc_of(method, normal))
        return min(figures)

    assert least(4, "log_p", "perpendicular") > 0.9
    assert least(0, "perpendicular") < 0.9


def test_scores_are_the_image_s_own_and_the_seed_s() -> None:
    method, images = fitted(), np.concatenate(TEST)
    whole = method.score(images)
    scale = 1e-5 * float(np.ptp(whole))
    assert np.isfinite(whole).all()
    assert method.score(images[40:56]) == pytest.approx(whole[40:56], abs=scale)
    assert method.score(images[:1]) == pytest.approx(whole[:1], abs=scale)
    assert np.array_equal(fitted().score(images), whole)
    assert not np.allclose(fitted(seed=1).score(images), whole)


def test_images_in_colour_and_a_batch_larger_than_the_set() -> None:
    assert np.isfinite(fitted(channels=3, n=10, epochs=1).score(lit(0, 5, 2, 3))).all()


def test_the_log_volume_is_that_of_a_jacobian_by_finite_differences() -> None:
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 12), nn.Unflatten(1, (3, 2, 2)), nn.Sigmoid())
    decoder, z = decoder.double(), torch.randn(5, 3, dtype=torch.float64)
    with torch.inference_mode():
        images, volumes = with_log_volume(decoder, z)
        assert torch.allclose(images, decoder(z))
        for at, volume in zip(z, volumes, strict=True):
            columns = [(decoder(at[None] + e) - decoder(at[None] - e)).flatten() / 2e-5 for e in 1e-5 * torch.eye(3)]
            jacobian = torch.stack(columns, dim=1).numpy()
            wanted = np.log(np.linalg.svd(jacobian, compute_uv=False)).sum()
            assert float(volume) == pytest.approx(wanted, rel=1e-5)


def test_coordinates_have_scipy_s_generalised_normal_densities() -> None:
    random = np.random.default_rng(0)
    codes = np.stack([gennorm.rvs(b, 0.3, 2.0, size=2000, random_state=random) for b in (1.0, 2.0, 4.0)], axis=1)
    density = GeneralisedNormals.fitted(codes, "cpu")
    assert density.beta.numpy() == pytest.approx([1, 2, 4], rel=0.2)
    assert density.mu.numpy() == pytest.approx([0.3] * 3, abs=0.2)
    assert density.alpha.numpy() == pytest.approx([2] * 3, rel=0.15)
    wanted = gennorm.logpdf(codes, density.beta.numpy(), density.mu.numpy(), density.alpha.numpy()).sum(axis=1)
    assert density.log_density(torch.from_numpy(codes)).numpy() == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("codes", [np.ones((5, 2)), np.arange(6.0).reshape(3, 2), np.zeros((1, 2))])
def test_densities_of_few_or_equal_codes_are_finite_everywhere(codes: np.ndarray) -> None:
    density = GeneralisedNormals.fitted(codes, "cpu")
    assert torch.isfinite(density.log_density(torch.tensor([[0.0, 0.0], [1.0, 1e4]]))).all()
    assert (density.beta <= 8).all()


def test_the_histogram_integrates_to_one_and_is_numpy_s() -> None:
    distances = np.random.default_rng(0).gamma(9.0, 0.3, 500)
    histogram = HistogramDensity.fitted(distances, 30, "cpu")
    grid = torch.linspace(float(distances.min()), float(distances.max()), 30_001, dtype=torch.float64)
    middles = (grid[1:] + grid[:-1]) / 2
    assert float((histogram.log_density(middles).exp() * grid.diff()).sum()) == pytest.approx(1.0)
    density, edges = np.histogram(distances, bins=30, density=True)
    asked = np.array([edges[0] / 2, (edges[3] + edges[4]) / 2, 2 * edges[-1]])
    wanted = np.log(np.maximum([density[0] / 2, density[3], 0.0], 1e-308))
    assert histogram.log_density(torch.from_numpy(asked)).numpy() == pytest.approx(wanted)


def test_a_distance_is_spread_over_the_sphere_of_its_radius() -> None:
    histogram = HistogramDensity.fitted(np.array([1.0, 3.0]), 1, "cpu")
    r = torch.tensor([1.5, 2.5])
    assert histogram.log_density_around(r, 3.0).exp().numpy() == pytest.approx(0.5 / (4 * np.pi * r.numpy() ** 2))


def test_the_score_is_the_sum_of_its_parts() -> None:
    method, images = fitted(), np.concatenate(TEST)
    found = {}
    for part in ("log_p", "parallel", "perpendicular", "latent", "volume"):
        method.score_by = part  # type: ignore[assignment]
        found[part] = method.score(images)
    assert found["parallel"] == pytest.approx(found["latent"] + found["volume"], rel=1e-4, abs=1e-3)
    assert found["log_p"] == pytest.approx(found["parallel"] + found["perpendicular"], rel=1e-4, abs=1e-3)


def test_the_networks_have_the_authors_sizes() -> None:
    """Theirs have biases before batch normalisation as well, which do nothing."""
    d, z = 128, 16
    encoder = 16 * d // 2 + d // 2 + 16 * (d // 2) * 2 * d + 16 * 2 * d * 4 * d + 2 * (2 * d + 4 * d)
    decoder = 16 * z * 2 * d + 16 * (2 * d) ** 2 + 16 * 2 * d * d + 2 * (2 * d + 2 * d + d) + 16 * d + 1
    networks = Networks(1, d, z)
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in networks.named_children()}
    assert sizes == {
        "encoder": encoder + 16 * 4 * d * z + z,
        "decoder": decoder,
        "of_images": encoder + 16 * 4 * d + 1,
        "of_codes": (z * d + d) + (d * d + d) + (d + 1),
    }
    a = networks.decoder(torch.randn(2, z))
    assert torch.allclose(torch.sigmoid(2 * a), torch.tanh(a) * 0.5 + 0.5, atol=1e-6)


def test_the_networks_are_the_authors_layer_by_layer() -> None:
    """Written out with torch's functions, on one batch that normalises itself: 4×4 kernels, stride 2, padding 1."""
    torch.manual_seed(0)
    networks, f = Networks(1, 4, 3).train(), nn.functional
    for layer in networks.modules():
        if isinstance(layer, nn.BatchNorm2d):  # scales and offsets that are not 1 and 0
            nn.init.normal_(layer.weight, 1, 0.2)
            nn.init.normal_(layer.bias, 0, 0.2)

    def normalised(x: Tensor, norm: nn.Module) -> Tensor:
        mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), correction=0, keepdim=True)
        scale, offset = (parameter[:, None, None] for parameter in norm.parameters())
        return (x - mean) / (variance + 1e-5).sqrt() * scale + offset

    def down(x: Tensor, network: nn.Module) -> Tensor:
        conv1, conv2, norm2, conv3, norm3, dense = (
            layer for layer in network.modules() if list(layer.parameters(False))
        )
        x = f.leaky_relu(f.conv2d(x, *conv1.parameters(), stride=2, padding=1), 0.2)
        x = f.leaky_relu(normalised(f.conv2d(x, *conv2.parameters(), stride=2, padding=1), norm2), 0.2)
        x = f.leaky_relu(normalised(f.conv2d(x, *conv3.parameters(), stride=2, padding=1), norm3), 0.2)
        return f.linear(x.flatten(1), *dense.parameters())

    def up(z: Tensor) -> Tensor:
        layers = [layer for layer in networks.decoder.modules() if list(layer.parameters(False))]
        first, norm1, second, norm2, third, norm3, last = layers
        x = f.relu(normalised(f.conv_transpose2d(z[:, :, None, None], *first.parameters()), norm1))
        for conv, norm in ((second, norm2), (third, norm3)):
            x = f.relu(normalised(f.conv_transpose2d(x, *conv.parameters(), stride=2, padding=1), norm))
        return f.conv_transpose2d(x, *last.parameters(), stride=2, padding=1).tanh() * 0.5 + 0.5

    x, z = torch.rand(5, 1, 32, 32), torch.randn(5, 3)
    with torch.no_grad():
        assert torch.allclose(networks.encoder(x), down(x, networks.encoder), atol=1e-5)
        assert torch.allclose(networks.decode(z), up(z), atol=1e-5)
        assert torch.allclose(networks.of_images(x).logit, down(x, networks.of_images).flatten(), atol=1e-5)


def test_the_score_is_the_authors_density_computed_with_scipy_and_finite_differences() -> None:
    """−log p of five images: fits of the training images taken over, all else computed anew in double precision."""
    method = fitted(latent=3, bins=10)
    assert method.passes is not None
    method.passes = None  # running statistics in both, for plain passes
    images = lit(0, 5, 9)
    scores = method.score(images)
    x = torch.from_numpy(resized(images, 32)).permute(0, 3, 1, 2).double() / 255
    nets = copy.deepcopy(method.networks).double().eval()
    beta, mu, alpha = (part.numpy() for part in (method.of_codes.beta, method.of_codes.mu, method.of_codes.alpha))
    edges, density = method.of_distances.edges.numpy(), method.of_distances.density.numpy()
    n = 0.2 * (32 * 32 - 3)
    with torch.no_grad():
        for z, image, score in zip(nets.encoder(x), x, scores, strict=True):
            steps = 1e-5 * torch.eye(3, dtype=torch.float64)
            columns = [(nets.decode(z[None] + e) - nets.decode(z[None] - e)).flatten() / 2e-5 for e in steps]
            singular = np.linalg.svd(torch.stack(columns, dim=1).numpy(), compute_uv=False)
            of_codes = np.maximum(gennorm.logpdf(z.numpy(), beta, mu, alpha), -1000).sum()
            r = float((image - nets.decode(z[None])[0]).norm())
            p = np.interp(r, [0, edges[0]], [0, density[0]]) if r < edges[0] else 0.0
            if edges[0] <= r <= edges[-1]:
                p = density[min(np.searchsorted(edges, r, side="right") - 1, len(density) - 1)]
            log_sphere = np.log(2) + n / 2 * np.log(np.pi) - gammaln(n / 2) + (n - 1) * np.log(r)
            volume = np.log(np.maximum(singular, 1e-4)).sum()
            log_p = of_codes - volume + np.log(max(p, 1e-308)) - log_sphere
            assert score == pytest.approx(-log_p, rel=1e-3)


def test_a_step_has_the_authors_losses_and_steps_what_they_step(monkeypatch: pytest.MonkeyPatch) -> None:
    method, context, noise = GPND(**NARROW), FitContext(seed=0), torch.randn(3, 8, 4)
    torch.manual_seed(0)
    method.networks = method.build(1)
    plain, x, bce = copy.deepcopy(method.networks), torch.rand(8, 1, 32, 32), nn.BCELoss()
    monkeypatch.setattr(torch, "randn", lambda *_, **__: noise)
    losses = method.step(context)(x, torch.ones(()))
    ones, zeros = torch.ones(8), torch.zeros(8)

    def adam(*parts: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam([p for part in parts for p in part.parameters()], lr=2e-3, betas=(0.5, 0.999))

    def descend(loss: Tensor, *parts: nn.Module) -> None:
        optimiser = adam(*parts)
        plain.zero_grad()
        loss.backward()
        optimiser.step()

    def judged(judge: nn.Module, what: Tensor) -> Tensor:
        return judge(what).logit.sigmoid()

    of_images = bce(judged(plain.of_images, x), ones) + bce(
        judged(plain.of_images, plain.decode(noise[0]).detach()), zeros
    )
    descend(of_images, plain.of_images)
    decoder = bce(judged(plain.of_images, plain.decode(noise[1])), ones)
    descend(decoder, plain.decoder)
    of_codes = bce(judged(plain.of_codes, noise[2]), ones) + bce(
        judged(plain.of_codes, plain.encoder(x).detach()), zeros
    )
    descend(of_codes, plain.of_codes)
    z = plain.encoder(x)
    encoder, reconstruction = bce(judged(plain.of_codes, z), ones), bce(plain.decode(z), x)
    descend(2 * reconstruction + encoder, plain.encoder, plain.decoder)
    wanted = {"of_images": of_images, "decoder": decoder, "of_codes": of_codes, "encoder": encoder}
    for name, loss in {**wanted, "reconstruction": reconstruction}.items():
        assert losses[name].item() == pytest.approx(loss.item(), rel=1e-4), name
    for (name, own), expected in zip(method.networks.named_parameters(), plain.parameters(), strict=True):
        assert (own - expected).abs().mean().item() < 2e-4, name  # a first step of Adam is 2e-3 long


def test_the_rate_falls_to_a_quarter_after_every_milestone(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[torch.optim.Adam] = []
    adam = GPND.adam
    monkeypatch.setattr(GPND, "adam", lambda self, weights: made.append(adam(self, weights)) or made[-1])
    method, rates = GPND(**{**NARROW, "milestone": 2, "epochs": 5}), []
    for _ in method.fit_epochs(lit(0, 16, 1), FitContext(seed=0)):
        rates.append([float(each.param_groups[0]["lr"]) for each in made])
    assert rates == [pytest.approx([rate] * 4) for rate in (2e-3, 5e-4, 5e-4, 1.25e-4, 1.25e-4)]


def test_no_score_in_training_mode() -> None:
    with pytest.raises(BenchError, match="score_in_train_mode"):
        fitted(score_in_train_mode=True)

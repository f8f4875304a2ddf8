"""AE-NAGN: the decoder first in training, last in scoring, and no adversary."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.images import symmetric
from bench.method import FitContext
from bench.methods.rivals.ae_nagn import AENAGN
from bench.testing.images import TEST, auroc_of, lit

pytestmark = pytest.mark.usefixtures("one_thread")

NARROW: dict[str, Any] = {"width": 4, "latent": 4, "image_size": 8, "batch_size": 16, "lr": 4e-3, "epochs": 3}


def fitted(normal: int = 0, n: int = 48, channels: int = 1, seed: int = 0, **parameters: Any) -> AENAGN:
    return AENAGN(**{**NARROW, **parameters}).fit(lit(normal, n, 1, channels), FitContext(seed=seed))


def built(**parameters: Any) -> AENAGN:
    method = AENAGN(**{**NARROW, **parameters})
    torch.manual_seed(0)
    method.networks = method.build(1)
    return method


def test_it_learns_whichever_class_is_normal() -> None:
    """Measured: 1.0 and 1.0; untrained it ranks one of the two, each the other turned upside down, first in both."""
    assert min(auroc_of(fitted(normal, 256), normal) for normal in (0, 1)) > 0.95
    assert min(auroc_of(fitted(normal, 256, epochs=0), normal) for normal in (0, 1)) < 0.9


def test_scores_are_the_image_s_own_and_the_seed_s() -> None:
    method, images = fitted(), np.concatenate(TEST)
    whole = method.score(images)
    assert np.isfinite(whole).all()
    assert method.score(images[40:56]) == pytest.approx(whole[40:56], rel=1e-4)
    assert method.score(images[:1]) == pytest.approx(whole[:1], rel=1e-4)
    assert np.array_equal(fitted().score(images), whole)
    assert not np.allclose(fitted(seed=1).score(images), whole)


def test_images_in_colour_and_a_batch_larger_than_the_set() -> None:
    assert np.isfinite(fitted(n=10, channels=3).score(lit(0, 5, 2, 3))).all()


def test_a_decoder_and_an_encoder_are_all_there_is() -> None:
    assert [name for name, _ in built().networks.named_children()] == ["decoder", "encoder"]


def test_the_search_goes_down_by_so_much_a_step_and_stays_in_the_encoder_s_range() -> None:
    method, x = built(search_steps=1, search_rate=0.01), torch.rand(6, 1, 8, 8) * 2 - 1
    nets = method.networks
    with torch.no_grad():
        start = nets.encoder(x)
    found = method.search(x, FitContext(seed=0))
    assert (found - start).square().mean(dim=1).sqrt().flatten().tolist() == pytest.approx([0.01] * 6, rel=1e-3)
    with torch.no_grad():
        errors = [float((x - nets.decoder(z)).square().sum()) for z in (start, found)]
    assert errors[1] < errors[0]
    assert not found.requires_grad
    method.search_rate = 100.0
    assert method.search(x, FitContext(seed=0)).abs().max() <= 1
    method.search_steps = 0
    with torch.no_grad():
        assert torch.equal(method.search(x, FitContext(seed=0)), nets.encoder(x))


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_step_has_the_losses_of_vectors_that_go_through_the_decoder_first(
    noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, x = built(noise=noise, w_image=2.0, w_latent=0.5), torch.rand(6, 1, 8, 8) * 2 - 1
    drawn = torch.randn(6, 4, 1, 1)
    plain = copy.deepcopy(method.networks)
    z = copy.deepcopy(method).search(x, FitContext(seed=0))
    monkeypatch.setattr(torch, "randn", lambda *_, **__: drawn)
    losses = method.step(FitContext(seed=0))(x, torch.ones(()))

    x_hat = plain.decoder(z)
    in_image, in_latent = ((x - x_hat) ** 2).mean(), ((z - plain.encoder(x_hat)) ** 2).mean()
    if noise:
        around = z + noise * drawn
        in_latent = in_latent + ((around - plain.encoder(plain.decoder(around))) ** 2).mean()
    assert losses["image"].item() == pytest.approx(in_image.item(), rel=1e-4)
    assert losses["latent"].item() == pytest.approx(in_latent.item(), rel=1e-4)
    (2 * in_image + 0.5 * in_latent).backward()
    torch.optim.Adam(plain.parameters(), lr=4e-3, betas=(0.5, 0.999)).step()
    before = built().networks.parameters()
    for own, expected, old in zip(method.networks.parameters(), plain.parameters(), before, strict=True):
        assert (own - expected).abs().mean().item() < 4e-4  # a first step of Adam is 4e-3 long
        assert not torch.equal(own, old)


def test_the_order_is_reversed_at_test() -> None:
    method = fitted(w_image=2.0, w_latent=0.5)
    method.passes = None  # the layers' own statistics, so that the networks can be called by hand
    nets, order = method.networks, []
    for name, part in nets.named_children():
        assert isinstance(part, nn.Module)
        part.register_forward_hook(lambda *_, name=name: order.append(name))
    scores = method.score(TEST[1][:3])
    assert order == ["encoder", "decoder", "encoder"]
    with torch.no_grad():
        x = symmetric(torch.from_numpy(TEST[1][:3]).permute(0, 3, 1, 2))
        z = nets.encoder(x)
        x_hat = nets.decoder(z)
        wanted = 2 * ((x - x_hat) ** 2).flatten(1).mean(1) + 0.5 * ((z - nets.encoder(x_hat)) ** 2).flatten(1).mean(1)
    assert scores == pytest.approx(wanted.numpy(), rel=1e-4)

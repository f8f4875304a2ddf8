"""NeuTraL AD: networks without biases, the three forms of transformations, and it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from learning import learnt

from bench.method import FitContext
from bench.methods.today.neutral_ad import Form, NeuTraLAD, Views, dcl
from bench.testing.images import TEST, lit

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {"transformations": 4, "image_size": 8, "width": 4, "dimension": 8, "batch_size": 16}


def test_it_learns_a_digit() -> None:
    figures, told = learnt(4, lambda epochs: NeuTraLAD(**SMALL, epochs=epochs), (0, 8))
    assert told[-1].losses["contrast"] < 0.6 * told[0].losses["contrast"]
    assert figures[1] > 0.85, figures
    assert figures[1] > figures[0] + 0.15, figures


@pytest.mark.parametrize("form", ["forward", "residual", "multiplied"])
def test_the_score_is_the_loss_of_the_image_and_its_views(form: Form) -> None:
    method = NeuTraLAD(**SMALL, form=form, epochs=1).fit(lit(0, 32, 1), FitContext(seed=0))
    wanted = []
    for image in TEST[1][:4]:
        x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            views = [x]
            for m in method.network.transformations:
                made = m(x)
                views.append({"forward": made, "residual": made + x, "multiplied": torch.sigmoid(made) * x}[form])
            z = torch.stack([method.network.encoder(view) for view in views], dim=1)
            wanted.append(dcl(z, 0.1).item())
    assert method.score(TEST[1][:4]) == pytest.approx(wanted, rel=1e-2, abs=1e-2)


def test_nothing_has_a_bias_and_black_and_white_have_no_constant_views() -> None:
    views = Views(1, 16, 3, "forward", 8, 5)
    assert not [name for name, _ in views.named_parameters() if "bias" in name]
    with torch.no_grad():
        assert not views(torch.zeros(2, 1, 16, 16)).any()
        assert views(torch.rand(2, 1, 16, 16)).shape == (2, 4, 5)


def test_the_rate_is_halved_every_so_many_epochs() -> None:
    """With a rate that is soon nothing, later epochs change nothing."""
    method = NeuTraLAD(**SMALL, epochs=60, halved_every=1)
    weights = []
    context = FitContext(seed=0, on_epoch=lambda _: weights.append(method.network.encoder[0].weight.detach().clone()))
    method.fit(lit(0, 16, 1), context)
    assert not torch.equal(weights[1], weights[0])
    assert torch.equal(weights[-1], weights[-2])

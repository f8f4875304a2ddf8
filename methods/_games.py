"""What networks that play against each other minimise, where a judgement is a logit."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def called_real(logits: Tensor) -> Tensor:
    """Mean of −log σ: binary cross-entropy of calling real what was judged, low where all of it is."""
    return softplus(-logits.float()).mean()

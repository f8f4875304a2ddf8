"""The method's own loss at the end of its training, where its record has one.

What practitioners watch when nothing else is at hand; of an adversarial training it need not mean anything (Lucic et
al., Are GANs created equal?, NeurIPS 2018).
"""

from __future__ import annotations

from bench.criterion import DetectorCriterion, Fitted, criterion


@criterion(version=1, better="lower", across_methods=False)
class OwnLoss(DetectorCriterion):
    """The sum of some losses in the last epoch.

    - ``losses``: their names; without any, the loss of a method that has but one.
    """

    losses: tuple[str, ...] = ()

    def figure(self, fitted: Fitted) -> float | None:
        last = fitted.losses[-1] if fitted.losses else {}
        names = self.losses or tuple(last)
        if not names or not set(names) <= last.keys() or (not self.losses and len(names) > 1):
            return None
        return sum(last[name] for name in names)

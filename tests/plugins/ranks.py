"""Scores that depend on the other images of the call, and do not say so."""

from __future__ import annotations

from typing import Self

from bench.method import FitContext, Images, Method, Scores, method


@method(version="1")
class Ranks(Method):
    """The rank of an image's brightness among those scored with it."""

    def fit(self, images: Images, context: FitContext) -> Self:
        return self

    def score(self, images: Images) -> Scores:
        return images.mean(axis=(1, 2, 3)).argsort().argsort() / len(images)

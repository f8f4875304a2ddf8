"""Seeds follow from names, and the process's own generators are left as found."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.randomness import derive_seed, global_generators_seeded

PARTS = st.lists(st.text(max_size=6) | st.integers(-1000, 1000), max_size=4)


def drawn() -> tuple[float, float, float]:
    """The next number of each global generator."""
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


@settings(deadline=None, max_examples=200)
@given(PARTS, PARTS)
def test_seeds_are_63_bit_numbers_that_differ_where_the_parts_do(one: list[Any], other: list[Any]) -> None:
    assert 0 <= derive_seed(*one) < 2**63
    assert (derive_seed(*one) == derive_seed(*other)) == (one == other)


def test_parts_are_not_simply_joined() -> None:
    parts: list[tuple[Any, ...]] = [("ab", "c"), ("a", "bc"), ("abc",), ("a,b", "c"), ("1",), (1,), ("a", ""), ("a",)]
    assert len({derive_seed(*each) for each in parts}) == len(parts)


def test_a_derived_seed_stays_what_it_was() -> None:
    """Where this fails, every split and every initial weight would change."""
    assert derive_seed("split", "mnist", "3", 0) == 5511948465524795399


def test_the_same_seed_gives_the_same_numbers_whatever_was_drawn_before() -> None:
    with global_generators_seeded(5):
        first = drawn()
    drawn()
    with global_generators_seeded(5):
        again = drawn()
    with global_generators_seeded(6):
        other = drawn()
    assert first == again
    assert not set(first) & set(other)


def test_the_global_generators_are_left_as_found(generator_states: Callable[[], list[Any]]) -> None:
    before = generator_states()
    with global_generators_seeded(5):
        drawn()
    assert generator_states() == before


def test_the_global_generators_are_left_as_found_after_an_error(
    generator_states: Callable[[], list[Any]],
) -> None:
    before = generator_states()
    with pytest.raises(RuntimeError, match="made to fail"), global_generators_seeded(5):
        drawn()
        raise RuntimeError("made to fail")
    assert generator_states() == before


def test_a_seed_of_63_bits_suits_every_generator() -> None:
    with global_generators_seeded(2**63 - 1):
        assert all(0 <= number < 1 for number in drawn())

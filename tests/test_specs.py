"""Spec strings: what is written can be read back, and what is no spec is refused."""

from __future__ import annotations

import keyword
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.specs import Spec, parse_spec, parse_specs, parse_value

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: not keyword.iskeyword(name))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.text(alphabet="'\",()=[]\\ \n#", max_size=8)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5)
SPECS = st.builds(Spec, NAMES, st.dictionaries(NAMES, VALUES, max_size=4))
relaxed = settings(deadline=None, max_examples=100)


@relaxed
@given(SPECS)
def test_the_text_of_a_spec_reads_back_as_that_spec(spec: Spec) -> None:
    back = parse_spec(str(spec))
    assert back == spec
    # == alone would take True for 1 and -0.0 for 0.0
    assert repr(back) == repr(spec)


@relaxed
@given(st.lists(SPECS, max_size=4))
def test_a_comma_separated_list_reads_back_as_those_specs(specs: list[Spec]) -> None:
    assert parse_specs(",".join(map(str, specs))) == specs


@relaxed
@given(SPECS)
def test_a_spec_survives_pickling_with_its_hash(spec: Spec) -> None:
    back = pickle.loads(pickle.dumps(spec))
    assert back == spec
    assert hash(back) == hash(spec)


@relaxed
@given(VALUES)
def test_a_value_on_the_command_line_reads_back_from_its_literal(value: Any) -> None:
    assert repr(parse_value(repr(value))) == repr(value)


def test_the_canonical_text_is_sorted_literal_and_without_blanks() -> None:
    assert str(parse_spec(' a( z = 1.50, b = "x",\n  c=[1, 2], d=(3,), e=-2 )')) == "a(b='x',c=(1,2),d=(3,),e=-2,z=1.5)"
    assert str(parse_spec("a()")) == "a"
    assert str(Spec("a", {"z": 1, "b": 2})) == "a(b=2,z=1)"


def test_the_order_of_parameters_makes_no_other_spec() -> None:
    one, other = parse_spec("a(b=1,c='x')"), parse_spec("a(c='x',b=1)")
    assert one == other
    assert hash(one) == hash(other)


def test_commas_and_parentheses_inside_quotes_belong_to_their_spec() -> None:
    specs = parse_specs("folder(path='a,b(c)'),ocsvm,x(y=(1,2))")
    assert [spec.name for spec in specs] == ["folder", "ocsvm", "x"]
    assert specs[0].parameters == {"path": "a,b(c)"}
    assert specs[2].parameters == {"y": (1, 2)}


@pytest.mark.parametrize(
    "text",
    [
        "a(1)",
        "a(1, b=2)",
        "a(b=1,b=2)",
        "a(b=1+1)",
        "a(b=c)",
        "a(b=len('x'))",
        "a(b=f'{c}')",
        "a(*b)",
        "a(**b)",
        "a.b",
        "a.b(c=1)",
        "a()()",
        "1",
        "'a'",
        "a(b=",
        "a b",
        "a],[b",
        "a(b={1: 2})",
        "a(b={[]: 2})",
        "a(b=1j)",
        "a(b=b'x')",
        "a(b=1e999)",
        "a(b=" + "(" * 300 + ")" * 300 + ")",
        "a\0b",
    ],
)
def test_what_is_no_spec_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(BenchError, match=r"name\(key=value, …\)|a parameter is a finite number"):
        parse_specs(text)


def test_one_spec_is_wanted_where_one_is_asked_for() -> None:
    for text, count in (("", 0), ("a,b", 2)):
        with pytest.raises(BenchError, match=f"expected one spec, got {count}"):
            parse_spec(text)


@pytest.mark.parametrize("value", [{"a": 1}, float("nan"), float("inf"), (1, {2})], ids=repr)
def test_a_value_that_has_no_literal_is_refused_by_name(value: Any) -> None:
    with pytest.raises(BenchError, match="mean: a parameter is a finite number"):
        Spec("mean", {"power": value})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        (" -1e-3 ", -0.001),
        ("True", True),
        ("None", None),
        ("(1, 2)", (1, 2)),
        ("[1, 2]", (1, 2)),
        ("'5'", "5"),
        ("l1", "l1"),
        ("a b", "a b"),
        ("{[]: 1}", "{[]: 1}"),
        ("(" * 300, "(" * 300),
    ],
)
def test_a_value_that_is_no_literal_is_a_string(text: str, value: Any) -> None:
    assert parse_value(text) == value


def test_parameters_of_a_spec_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        Spec("a", {"b": 1}).parameters["b"] = 2  # type: ignore[index]

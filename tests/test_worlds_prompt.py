"""Reading prompts: kinds, synonyms, guesses, modifiers, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.worlds import KINDS, LABELS, Modifiers, parse_prompt
from generator.worlds.colours import NAMED
from generator.worlds.vocabulary import CLUTTER, COLOURS, MATERIALS, RELATED, SYNONYMS
from lyra_sim.errors import LyraSimError


def test_the_published_lists_are_complete() -> None:
    """There are ten kinds with synonyms each, and the labels are sorted and unique."""
    assert len(KINDS) == len(set(KINDS)) >= 10
    assert set(SYNONYMS) == set(RELATED) == set(KINDS)
    assert list(LABELS) == sorted(set(LABELS))
    assert set(COLOURS.values()) <= set(NAMED)


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_synonyms_name_a_kind_exactly(kind: str) -> None:
    """The name with spaces or underscores, in capitals, in the plural, and every synonym choose the kind."""
    name = kind.replace("_", " ")
    for prompt in (name, kind, name.upper(), f"the {name}s", f"  {name}!  ", *SYNONYMS[kind]):
        spec = parse_prompt(prompt, strict=True)
        assert (spec.kind, spec.exact) == (kind, True), prompt


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("storage for spare parts", "warehouse_aisle"),
        ("a clinic", "hospital_room"),
        ("my garage with a red car", "parking_garage"),
        ("chemistry lab", "laboratory"),
        ("hospital corridor", "office_corridor"),
        ("a kitchen in a hospital", "kitchen"),
        ("warehouse with an office", "warehouse_aisle"),
        ("shipping area behind the factory", "loading_dock"),
        ("welding cell", "factory_cell"),
        ("cubicles", "open_office"),
        ("cosy lounge", "living_room"),
    ],
)
def test_the_head_of_the_sentence_decides(prompt: str, kind: str) -> None:
    """Of several places that are named, the one the sentence is about is built."""
    assert parse_prompt(prompt).kind == kind
    assert parse_prompt(prompt).exact


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("warehuose aisel", "warehouse_aisle"),
        ("kitchn", "kitchen"),
        ("a bedroom", "living_room"),
        ("robots", "factory_cell"),
    ],
)
def test_unknown_places_go_to_the_nearest_kind_and_say_so(prompt: str, kind: str) -> None:
    """Misspelt and merely related words lead to a guess, which the message admits."""
    spec = parse_prompt(prompt)
    assert spec.kind == kind
    assert not spec.exact
    assert "nearest" in spec.message
    assert prompt in spec.message


def test_strict_refuses_a_guess() -> None:
    """The error quotes the prompt and lists the kinds."""
    with pytest.raises(LyraSimError, match=r"cathedral.*warehouse aisle"):
        parse_prompt("cathedral", strict=True)


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t", "　"])
def test_an_empty_prompt_is_refused(prompt: str) -> None:
    """White space of any sort is no prompt."""
    with pytest.raises(LyraSimError, match="empty"):
        parse_prompt(prompt)


def test_a_long_prompt_is_refused_with_its_length_and_the_limit() -> None:
    """2,000 characters pass, one more does not."""
    assert parse_prompt("kitchen" + " x" * 996 + "x").kind == "kitchen"
    with pytest.raises(LyraSimError, match=r"2,001.*2,000"):
        parse_prompt("k" * 2001)


def test_modifiers_are_read_and_the_rest_is_reported() -> None:
    """Every sort of word is understood, in any order; others are listed as ignored, fillers are not."""
    spec = parse_prompt("A dim, cluttered narrow BLUE wooden large warehouse aisle with warm unicorns")
    assert spec.modifiers == Modifiers(
        colour="blue",
        material="wood",
        clutter="cluttered",
        width="narrow",
        size="large",
        brightness="dim",
        temperature="warm",
    )
    assert spec.understood == (
        "dim", "cluttered", "narrow", "blue", "wooden", "large", "warehouse", "aisle", "warm",
    )  # fmt: skip
    assert spec.ignored == ("unicorns",)
    assert "unicorns" in spec.message
    assert "blue" in spec.message


def test_contradictions_and_negations_are_ignored_words() -> None:
    """The first of two contradicting words counts, and a negated word does not."""
    spec = parse_prompt("narrow wide kitchen, not cluttered")
    assert spec.modifiers == Modifiers(width="narrow")
    assert spec.ignored == ("wide", "not", "cluttered")


def test_a_plain_prompt_has_neutral_modifiers() -> None:
    """Nothing is read into a prompt that only names a kind."""
    spec = parse_prompt("open office")
    assert spec.modifiers == Modifiers()
    assert spec.ignored == ()
    assert spec.message == "Building an open office."


@pytest.mark.parametrize("word", [*COLOURS, *MATERIALS, *CLUTTER])
def test_no_modifier_hides_a_kind(word: str) -> None:
    """A modifier before a kind changes neither the kind nor its exactness."""
    spec = parse_prompt(f"{word} laboratory")
    assert (spec.kind, spec.exact) == ("laboratory", True)
    assert spec.modifiers != Modifiers()


@settings(max_examples=100)
@given(st.text(max_size=2100), st.booleans())
def test_any_text_is_read_or_refused_with_our_error(text: str, strict: bool) -> None:
    """Arbitrary text never escapes as another exception, and reading it twice gives the same."""
    try:
        spec = parse_prompt(text, strict=strict)
    except LyraSimError:
        return
    assert spec.kind in KINDS
    assert "\n" not in spec.message
    assert spec == parse_prompt(text, strict=strict)

"""Reading a prompt: which kind of world, and which words change it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache, lru_cache

from generator.worlds import vocabulary
from generator.worlds.vocabulary import KINDS, RELATED, SYNONYMS
from lyra_sim.errors import LyraSimError

MAX_PROMPT = 2000
"""Longest prompt [characters]."""


@dataclass(frozen=True)
class Modifiers:
    """Say how words change a world; every field has a neutral value."""

    colour: str | None = None
    """Name in `generator.worlds.colours.NAMED`."""
    material: str | None = None
    """`wood`, `metal`, `concrete`, `brick`, `tile`, `plastic` or `carpet`."""
    clutter: str = "normal"
    """`empty`, `tidy`, `normal` or `cluttered`."""
    width: str = "normal"
    """`narrow`, `normal` or `wide`."""
    size: str = "normal"
    """`small`, `normal` or `large`."""
    brightness: str = "normal"
    """`dim`, `normal` or `bright`."""
    temperature: str = "neutral"
    """Colour of the light: `warm`, `neutral` or `cold`."""


@dataclass(frozen=True)
class WorldSpec:
    """Hold what a prompt asks for, and what was made of its words."""

    prompt: str
    """The prompt as given, without surrounding space."""
    kind: str
    """One of `KINDS`."""
    exact: bool
    """Whether the prompt names the kind, by its name or a synonym; otherwise the nearest was taken."""
    modifiers: Modifiers
    understood: tuple[str, ...]
    """Words or phrases that chose the kind or changed the world, in the prompt's order."""
    ignored: tuple[str, ...]
    """Words that changed nothing, in the prompt's order."""

    @property
    def message(self) -> str:
        """One or two sentences for the user: what is built, and which words had no effect."""
        changed = [
            str(getattr(self.modifiers, field.name))
            for field in fields(Modifiers)
            if getattr(self.modifiers, field.name) != field.default
        ]
        place = self.kind.replace("_", " ")
        name = f"{'an' if place[0] in 'aeiou' else 'a'} {place}" + (
            f" ({', '.join(changed)})" if changed else ""
        )
        if self.exact:
            text = f"Building {name}."
        else:
            known = ", ".join(kind.replace("_", " ") for kind in KINDS)
            text = (
                f"No known kind of world is named in {shorten(self.prompt)!r}; building the nearest, {name}."
            )
            text += f" Known kinds: {known}."
        return text + (f" Words without effect: {shorten(', '.join(self.ignored))}." if self.ignored else "")


def shorten(text: str, limit: int = 80) -> str:
    """Return text of at most `limit` characters on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def parse_prompt(prompt: str, *, strict: bool = False) -> WorldSpec:
    """Read a prompt into the specification of a world.

    Args:
        prompt: Free text such as "dim narrow warehouse aisle"; at most 2,000 characters.
        strict: Refuse a prompt that names no known kind instead of taking the nearest.

    Raises:
        LyraSimError: The prompt is empty or too long, or names no kind while `strict`.
    """
    text = unicodedata.normalize("NFKC", prompt).strip()
    if not text:
        raise LyraSimError("the prompt is empty; describe a place, such as 'warehouse aisle'")
    if len(prompt) > MAX_PROMPT:
        raise LyraSimError(
            f"the prompt has {len(prompt):,} characters; the limit is {MAX_PROMPT:,}: shorten it"
        )
    words = re.findall(r"[^\W_]+", text.casefold())
    kind, exact, used = _find_kind(words, text)
    if strict and not exact:
        known = ", ".join(name.replace("_", " ") for name in KINDS)
        raise LyraSimError(f"the prompt {shorten(text)!r} names no known kind of world; name one of: {known}")
    modifiers, changed = _find_modifiers(words, used)
    content = [i for i in range(len(words)) if words[i] not in vocabulary.FILLERS]
    return WorldSpec(
        prompt=text,
        kind=kind,
        exact=exact,
        modifiers=modifiers,
        understood=_unique(words[i] for i in range(len(words)) if i in used | changed),
        ignored=_unique(words[i] for i in content if i not in used | changed),
    )


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    """Drop repeats, keep the order."""
    return tuple(dict.fromkeys(words))


def _find_kind(words: list[str], text: str) -> tuple[str, bool, set[int]]:
    """Return the kind, whether it was named, and the places of the words that decided it."""
    for exact in (True, False):
        matches = _phrase_matches(words, _phrases(exact))
        if matches:
            kind, start, length = _head(matches, words)
            return kind, exact, set(range(start, start + length))
    return _most_similar(text), False, set()


@cache
def _phrases(exact: bool) -> dict[tuple[str, ...], str]:
    """Return the kind of every phrase, as words, that names a kind exactly or only suggests it."""
    table = SYNONYMS if exact else RELATED
    return {tuple(phrase.split()): kind for kind, listed in table.items() for phrase in listed}


def _phrase_matches(words: list[str], phrases: dict[tuple[str, ...], str]) -> list[tuple[str, int, int]]:
    """Return (kind, first word, number of words) of the longest phrases found, none inside another."""
    found: list[tuple[str, int, int]] = []
    start = 0
    while start < len(words):
        for length in (4, 3, 2, 1):
            run = tuple(words[start : start + length])
            kind = phrases.get(run) or phrases.get((*run[:-1], _singular(run[-1])))
            if kind is not None:
                found.append((kind, start, len(run)))
                start += len(run) - 1
                break
        start += 1
    return found


def _singular(word: str) -> str:
    """Strip a plural ending, roughly."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def _head(matches: list[tuple[str, int, int]], words: list[str]) -> tuple[str, int, int]:
    """Return the match that is the head of the sentence: the last one before any preposition that follows one."""
    best = matches[0]
    for match in matches[1:]:
        between = words[best[1] + best[2] : match[1]]
        if any(word in vocabulary.PREPOSITIONS for word in between):
            break
        best = match
    return best


def _find_modifiers(words: list[str], used: set[int]) -> tuple[Modifiers, set[int]]:
    """Return the modifiers (the first word of each sort counts) and the places of their words."""
    tables = {
        "colour": vocabulary.COLOURS,
        "material": vocabulary.MATERIALS,
        "clutter": vocabulary.CLUTTER,
        "width": vocabulary.WIDTH,
        "size": vocabulary.SIZE,
        "brightness": vocabulary.BRIGHTNESS,
        "temperature": vocabulary.TEMPERATURE,
    }
    chosen: dict[str, str] = {}
    places: set[int] = set()
    for place, word in enumerate(words):
        negated = place > 0 and words[place - 1] in vocabulary.NEGATIONS
        if place in used or negated:
            continue
        for name, table in tables.items():
            if word in table and chosen.get(name, table[word]) == table[word]:
                chosen[name] = table[word]
                places.add(place)
    return Modifiers(**chosen), places


def _most_similar(text: str) -> str:
    """Return the kind with a phrase whose letter triples are most like the text's; ties go to the first."""
    grams = _trigrams(text.casefold())

    def score(kind: str) -> float:
        return max(_overlap(grams, _trigrams(phrase)) for phrase in SYNONYMS[kind] + RELATED[kind])

    return max(KINDS, key=score)


@lru_cache(maxsize=1024)
def _trigrams(text: str) -> frozenset[str]:
    """Return the letter triples of a text padded with spaces."""
    padded = "  " + " ".join(re.findall(r"[^\W_]+", text)) + " "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))


def _overlap(first: frozenset[str], second: frozenset[str]) -> float:
    """Return the share of the second set that the first holds, less a little for what it lacks."""
    shared = len(first & second)
    return shared / len(second) + shared / (len(first) + len(second))

"""Specs of batches: what they mean, their scenes' ids, and every mistake with its line and column."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from lyra_sim.batch import positions
from lyra_sim.batch.expand import Plan, expand
from lyra_sim.batch.scenes import retry_seed
from lyra_sim.batch.spec import json_schema, load_spec, schema_text, write_schema
from lyra_sim.errors import LyraSimError


def plan(folder: Path, text: str) -> Plan:
    """Write a spec, read it and list its scenes."""
    path = folder / "spec.yaml"
    path.write_text(text)
    return expand(*load_spec(path), resolve_size=lambda size: "mini")


SLOTS = """
    slots:
      light: [dim, bright]
      kind: {kitchen: 3, laboratory: 1}
      aisles: {from: 2, to: 3, step: 0.5}
"""
TEMPLATE = "version: 1\nscenes:\n  - template: '{light} {kind}, {aisles} aisles'" + SLOTS


def test_a_template_is_every_combination_in_order(tmp_path: Path) -> None:
    """Show that lists, weights and ranges fill the slots, and that a repeated slot has one value."""
    scenes = plan(tmp_path, TEMPLATE).scenes
    assert len(scenes) == 2 * 2 * 3
    assert scenes[0].prompt == "dim kitchen, 2 aisles"
    assert scenes[1].prompt == "dim kitchen, 2.5 aisles"
    assert scenes[-1].slots == {"light": "bright", "kind": "laboratory", "aisles": "3"}
    twice = plan(
        tmp_path, "version: 1\nscenes:\n - template: '{a} and {a}, {{braces}}'\n   slots: {a: [x, y]}\n"
    )
    assert [s.prompt for s in twice.scenes] == ["x and x, {braces}", "y and y, {braces}"]


def test_words_stay_the_words_that_were_written(tmp_path: Path) -> None:
    """Show that YAML's guesses about `no`, `007`, times and dates do not reach the prompts."""
    text = (
        "version: 1\nscenes:\n - template: 'sign {a}'\n   slots: {a: [no, 007, 12:30, 2026-01-01, true, ~]}\n"
    )
    assert [s.slots["a"] for s in plan(tmp_path, text).scenes] == [
        "no",
        "007",
        "12:30",
        "2026-01-01",
        "true",
        "~",
    ]


def test_a_count_draws_by_weight_and_a_larger_one_keeps_the_draws(tmp_path: Path) -> None:
    """Show that draws follow the weights, are all different scenes, and stay when more are asked for."""
    few = plan(tmp_path, TEMPLATE + "    count: 40\n").scenes
    many = plan(tmp_path, TEMPLATE + "    count: 400\n").scenes
    assert [s.id for s in many[:40]] == [s.id for s in few]
    assert len({s.id for s in many}) == 400
    share = Counter(s.slots["kind"] for s in many)["kitchen"] / 400
    assert share == pytest.approx(0.75, abs=0.07)
    other = plan(tmp_path, TEMPLATE + "    count: 40\n    draw: 1\n").scenes
    assert [s.prompt for s in other] != [s.prompt for s in few]


def test_a_thousand_million_combinations_can_be_drawn_from(tmp_path: Path) -> None:
    """Show that a huge template costs nothing until its combinations are asked for one by one."""
    slots = "{a: {from: 1, to: 1000}, b: {from: 1, to: 1000}, c: {from: 0, to: 1e300}}"
    text = f"version: 1\nscenes:\n - template: '{{a}} {{b}} {{c}}'\n   slots: {slots}\n   count: 5\n"
    assert len({s.prompt for s in plan(tmp_path, text).scenes}) == 5


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [("2", [0, 1]), ("[7, 3]", [7, 3]), ("{first: 10, count: 3}", [10, 11, 12])],
)
def test_seeds_are_a_count_a_list_or_a_range(tmp_path: Path, seeds: str, expected: list[int]) -> None:
    """Show the three ways to write seeds."""
    scenes = plan(tmp_path, f"version: 1\nscenes:\n - prompts: [kitchen]\n   seeds: {seeds}\n").scenes
    assert [s.seed for s in scenes] == expected


def test_an_id_is_the_content_and_nothing_else(tmp_path: Path) -> None:
    """Show that order, splits, groups and comments leave ids alone, and that anything that is made changes them."""
    base = "version: 1\nscenes:\n - prompts: [kitchen, laboratory]\n"
    ids = {s.prompt: s.id for s in plan(tmp_path, base).scenes}
    assert ids["kitchen"] == "71b7661720708392"
    same = "# x\nversion: 1\nsplits: {ratios: {test: 1}}\nscenes:\n - prompts: [laboratory]\n - prompts: [kitchen]\n"
    assert {s.prompt: s.id for s in plan(tmp_path, same).scenes} == ids
    template = "version: 1\nscenes:\n - template: '{k}'\n   slots: {k: [kitchen, laboratory]}\n"
    assert {s.prompt: s.id for s in plan(tmp_path, template).scenes} == ids
    for change in ("make: {target: both}", "maps: {robot: {radius: 0.5}}", "quality: {retries: 1}"):
        assert not {s.id for s in plan(tmp_path, f"{base}{change}\n").scenes} & set(ids.values()), change


def test_pictures_count_by_content(tmp_path: Path) -> None:
    """Show that a glob finds pictures below the spec, in order, and that moving one keeps its id."""
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    (tmp_path / "photos" / "b.jpg").write_bytes(b"second")
    (tmp_path / "photos" / "deep" / "a.jpg").write_bytes(b"first")
    text = "version: 1\nscenes:\n - pictures: photos/**/*.jpg\n   camera_height: 1.4\n   seeds: 2\n"
    before = plan(tmp_path, text).scenes
    assert [Path(s.picture or "").name for s in before] == ["b.jpg", "b.jpg", "a.jpg", "a.jpg"]
    assert before[0].camera_height == 1.4
    (tmp_path / "photos" / "b.jpg").rename(tmp_path / "photos" / "z.jpg")
    assert {s.id for s in plan(tmp_path, text).scenes} == {s.id for s in before}
    (tmp_path / "photos" / "copy.jpg").write_bytes(b"second")
    with pytest.raises(LyraSimError, match=r"the same scene as .*/z\.jpg'.*, as in .*/copy\.jpg'"):
        plan(tmp_path, text)


def test_drop_leaves_out_what_matches_all_of_an_entry(tmp_path: Path) -> None:
    """Show filters by slot value, by several values, and by a pattern of the prompt."""
    rules = "drop:\n  - {light: dim, kind: [laboratory, gym]}\n  - {prompt: '*3 AISLES'}\n"
    found = plan(tmp_path, TEMPLATE + rules)
    assert found.dropped == 3 + 3
    assert {(s.slots["light"], s.slots["kind"]) for s in found.scenes} == {
        ("dim", "kitchen"),
        ("bright", "kitchen"),
        ("bright", "laboratory"),
    }
    assert all("3 aisles" not in s.prompt for s in found.scenes)


RATIOS = "splits: {ratios: {train: 8, validation: 1, test: 1}}\n"


def test_splits_follow_the_ratio_in_every_beginning(tmp_path: Path) -> None:
    """Show that every tenth scene is exactly balanced, and that scenes added later leave the splits alone."""
    base = "version: 1\nscenes:\n - prompts: [kitchen]\n   seeds: "
    scenes = plan(tmp_path, f"{base}200\n{RATIOS}").scenes
    for count in range(10, 201, 10):
        assert Counter(s.split for s in scenes[:count]) == {
            "train": count * 0.8,
            "validation": count * 0.1,
            "test": count * 0.1,
        }
    fewer = plan(tmp_path, f"{base}57\n{RATIOS}").scenes
    assert [s.split for s in fewer] == [s.split for s in scenes[:57]]
    # Not in step with the order of the scenes, in which slot values repeat.
    assert len({n % 10 for n, s in enumerate(scenes) if s.split == "test"}) > 3


def test_disjoint_splits_share_no_value(tmp_path: Path) -> None:
    """Show that no value of the named slot is in two splits, and that no split is empty."""
    values = ", ".join(f"place{n}" for n in range(10))
    text = f"version: 1\nscenes:\n - template: '{{k}} {{l}}'\n   slots: {{k: [{values}], l: [a, b, c]}}\n"
    splits = RATIOS.replace("}}", "}, disjoint: [k]}")
    scenes = plan(tmp_path, text + splits).scenes
    where = {
        value: {s.split for s in scenes if s.slots["k"] == value} for value in {s.slots["k"] for s in scenes}
    }
    assert all(len(found) == 1 for found in where.values())
    assert Counter(next(iter(found)) for found in where.values()) == {"train": 8, "validation": 1, "test": 1}


def test_retries_have_seeds_of_their_own(tmp_path: Path) -> None:
    """Show that the first try has the scene's seed and the others seeds that no other scene uses."""
    scenes = plan(tmp_path, "version: 1\nscenes:\n - prompts: [kitchen]\n   seeds: 20\n").scenes
    assert [retry_seed(s, 0) for s in scenes] == list(range(20))
    later = {retry_seed(s, attempt) for s in scenes for attempt in (1, 2, 3)}
    assert len(later) == 60
    assert not later & set(range(20))


P = "version: 1\nscenes:\n  - prompts: [a]\n"
T = "version: 1\nscenes:\n  - template: "
MISTAKES = {
    "unknown key": (P + "colour: red\n", "4:1: colour: the key 'colour' is not known"),
    "unknown key, deep": (P + "    colour: red\n", "4:5: scenes[0].colour: the key 'colour' is not known"),
    "no version": ("scenes:\n  - prompts: [a]\n", "1:1: the key 'version' is missing"),
    "other version": ("version: 2\nscenes: [{prompts: [a]}]\n", "1:10: version: '2': this lyra-sim reads"),
    "no scenes": ("version: 1\nscenes: []\n", "2:9: scenes: is empty"),
    "empty list": ("version: 1\nscenes:\n  - prompts: []\n", "3:14: scenes[0].prompts: is empty"),
    "empty prompt": ("version: 1\nscenes:\n  - prompts: [a, '']\n", "3:18: scenes[0].prompts[1]: is empty"),
    "blank prompt": ("version: 1\nscenes:\n  - prompts: ['  ']\n", "3:15: scenes[0].prompts[0]: "),
    "no list": (
        "version: 1\nscenes:\n  - prompts: kitchen\n",
        "3:14: scenes[0].prompts: 'kitchen': should be a valid",
    ),
    "two kinds": (
        P + "    template: x\n",
        "3:5: scenes[0]: give exactly one of prompts, template and pictures",
    ),
    "template without slot": (
        T + "'{a} {b}'\n    slots: {a: [x]}\n",
        "3:15: scenes[0].template: the template names the slot 'b'",
    ),
    "slot without template": (
        T + "'{a}'\n    slots: {a: [x], b: [y]}\n",
        "4:21: scenes[0].slots.b: the template has no slot 'b'",
    ),
    "no slot at all": (T + "a\n    slots: {}\n", "3:15: scenes[0].template: 'a' has no slot"),
    "empty slot": (T + "'{a}'\n    slots: {a: []}\n", "4:16: scenes[0].slots.a: is empty"),
    "slot without name": (
        T + "'{}'\n    slots: {a: [x]}\n",
        "3:15: scenes[0].template: '{}': a slot is a name",
    ),
    "slot that reaches in": (
        T + "'{a.b}'\n    slots: {a: [x]}\n",
        "3:15: scenes[0].template: '{a.b}': a slot is a name",
    ),
    "open brace": (T + "'{a} {'\n    slots: {a: [x]}\n", "3:15: scenes[0].template: "),
    "weight": (
        T + "'{a}'\n    slots: {a: {x: -1}}\n",
        "4:20: scenes[0].slots.a.x: '-1': should be greater than 0",
    ),
    "empty range": (
        T + "'{a}'\n    slots: {a: {from: 3, to: 1}}\n",
        "4:16: scenes[0].slots.a: the range from 3 to 1 is empty",
    ),
    "10^9 combinations": (
        T
        + "'{a}{b}{c}'\n    slots: {a: {from: 1, to: 1000}, b: {from: 1, to: 1000}, c: {from: 1, to: 1000}}\n",
        "3:15: scenes[0].template: 1,000,000,000 combinations with 1 seeds each: at most 1,000,000 scenes; give",
    ),
    "too many seeds": (P + "    seeds: 2000000\n", "3:5: scenes[0]: 1 combinations with 2,000,000 seeds"),
    "too many in all": (
        "version: 1\nscenes:\n" + "".join(f"  - prompts: [p{n}]\n    seeds: 900000\n" for n in range(2)),
        "3:3: scenes: 1,800,000 scenes",
    ),
    "negative seed": (P + "    seeds: [-1]\n", "4:13: scenes[0].seeds[0]: '-1': should be greater"),
    "seed past the end": (
        P + "    seeds: {first: 9223372036854775807, count: 2}\n",
        "4:12: scenes[0].seeds: seeds end at",
    ),
    "duplicate": (
        P + "  - prompts: [b, a]\n",
        "4:18: scenes[1].prompts[1]: the same scene as scenes[0].prompts[0] in line 3",
    ),
    "duplicate seed": (P + "    seeds: [1, 1]\n", "4:12: scenes[0].seeds: 1 is here twice"),
    "glob without match": (
        "version: 1\nscenes:\n  - pictures: '*.jpg'\n",
        "3:15: scenes[0].pictures: '*.jpg' matches no file",
    ),
    "unknown size": (
        P + "make: {size: huge}\n",
        "4:14: make.size: 'huge': should be 'mini', 'full' or 'auto'",
    ),
    "unknown path": (
        P + "make: {trajectories: [left, roll]}\n",
        "4:29: make.trajectories[1]: 'roll': should be",
    ),
    "not a number": (
        P + "quality: {min_psnr_db: good}\n",
        "4:24: quality.min_psnr_db: 'good': should be a valid number",
    ),
    "robot": (
        P + "maps: {robot: {height: 0.01}}\n",
        "4:15: maps.robot: height 0.01 must be more than step 0.05",
    ),
    "no ratio": (P + "splits: {ratios: {train: 0}}\n", "4:18: splits.ratios: the ratios add up to nothing"),
    "unknown split": (P + "splits: {ratios: {exam: 1}}\n", "4:19: splits.ratios.exam: "),
    "cannot be disjoint": (
        f"{P}    seeds: 9\nsplits: {{ratios: {{train: 1, test: 1}}, disjoint: [prompt]}}\n",
        "5:49: splits.disjoint: the scenes fall into 1 group(s)",
    ),
    "disjoint by nothing": (
        f"{P}splits: {{disjoint: [kind]}}\n",
        "4:21: splits.disjoint[0]: the scene of prompt 'a', seed 0 has no slot",
    ),
    "drop by nothing": (
        P + "drop: [{kind: x}]\n",
        "4:9: drop[0].kind: 'kind' is no slot; known are picture, prompt",
    ),
    "drop everything": (P + "drop: [{prompt: '*'}]\n", "4:7: drop: this leaves none of 1 scenes"),
    "two mistakes": (
        P + "    seeds: -1\nmake: {size: huge}\n",
        "4:12: scenes[0].seeds: '-1': should be greater than or equal to 1 (and 1 more)",
    ),
    "not YAML": ("version: 1\nscenes: [\n  - prompts: [a]\n", "3:3: not YAML: "),
    "key twice": ("version: 1\nversion: 1\n", "2:1: the key 'version' is here twice"),
    "key that is none": ("[a]: 1\n", "1:1: a key must be plain text"),
    "alias in itself": ("a: &a [*a]\n", "1:4: an alias refers to a value that holds it"),
    "list at the top": ("- a\n", "1:1: a spec is a mapping"),
    "nothing": ("# nothing\n", "1:1: the file is empty"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_its_position(tmp_path: Path, mistake: str) -> None:
    """Show that each mistake ends in one line that names file, line, column, key and what is wrong."""
    text, expected = MISTAKES[mistake]
    with pytest.raises(LyraSimError) as error:
        plan(tmp_path, text)
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'spec.yaml'}:{expected}")
    assert len(message.splitlines()) == 1


def test_a_few_aliases_cannot_stand_for_millions_of_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show that aliases of aliases are counted as what they stand for."""
    monkeypatch.setattr(positions, "MAX_NODES", 10_000)
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdef", "bcdefg", strict=True)
    ]
    with pytest.raises(LyraSimError, match="stands for more than"):
        plan(tmp_path, "\n".join(lines))


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "cannot read"), (b"\xff\xfe\x00", "not UTF-8"), (b"x: " + b"[" * 2000, "nested too deeply")],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes | None, expected: str) -> None:
    """Show what is said about a missing file, a binary file, and endless brackets."""
    path = tmp_path / "spec.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LyraSimError, match=expected):
        load_spec(path)


def test_the_shipped_schema_is_that_of_the_models() -> None:
    """Show that editors complete what the models accept: the shipped file is made from them."""
    assert json.loads(schema_text()) == json.loads(json.dumps(json_schema()))
    assert schema_text().endswith("}\n")
    assert schema_text() == write_schema()

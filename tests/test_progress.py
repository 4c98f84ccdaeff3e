"""The progress protocol that people, the panel and the server read."""

from __future__ import annotations

import io
import json

import pytest

from lyra_sim.progress import Progress

WEIGHTS = {"teacher": 3.0, "decoder": 1.0}


def test_json_lines_grow_and_end_with_the_result() -> None:
    """Show that every line is one JSON object, that fractions never fall, and that the result comes last."""
    out = io.StringIO()
    progress = Progress("json", WEIGHTS, out=out, err=io.StringIO())
    progress.update("teacher", 0.5, "filming")
    progress.update("decoder", 0.0, "decoding", preview="/a.png")
    progress.update("teacher", 0.1, "late message")
    progress.result("done", scene="/s.usdz")
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [r["fraction"] for r in records] == pytest.approx([0.375, 0.75, 0.75, 1.0])
    assert [r["type"] for r in records] == ["progress"] * 3 + ["result"]
    assert records[1]["preview"] == "/a.png"
    assert records[-1]["scene"] == "/s.usdz"


def test_people_read_errors_in_every_mode() -> None:
    """Show that an error reaches stderr in each mode, and stdout only as JSON."""
    for mode in ("auto", "json", "none"):
        out, err = io.StringIO(), io.StringIO()
        Progress(mode, WEIGHTS, out=out, err=err).error("no such place")
        assert err.getvalue() == "lyra-sim: error: no such place\n"
        assert bool(out.getvalue()) is (mode == "json")


def test_a_relayed_fraction_is_of_the_whole() -> None:
    """Show that what a server reports is passed on without being rescaled."""
    out = io.StringIO()
    progress = Progress("json", WEIGHTS, out=out, err=io.StringIO())
    progress.relay("collider", 0.8, "fusing")
    assert json.loads(out.getvalue())["fraction"] == 0.8

"""The command line: what is checked before anything heavy loads, and how failures look."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lyra_sim import __version__
from lyra_sim.cli import main

FAILURES = {
    "empty prompt": (["", "--out", "{}/s.usdz"], "PROMPT is empty"),
    "blank prompt": ([" \t ", "--out", "{}/s.usdz"], "PROMPT is empty"),
    "endless prompt": (["x" * 10_000, "--out", "{}/s.usdz"], "10,000 characters"),
    "negative seed": (["kitchen", "--seed", "-1", "--out", "{}/s.usdz"], "--seed -1"),
    "wrong suffix": (["kitchen", "--out", "{}/s.glb"], "must end in .usdz"),
    "missing folder": (["kitchen", "--out", "{}/no/s.usdz"], "does not exist"),
    "missing PLY folder": (["kitchen", "--out", "{}/s.usdz", "--ply", "{}/no/s.ply"], "does not exist"),
    "PLY that is a folder": (["kitchen", "--out", "{}/s.usdz", "--ply", "{}/full.ply"], "is a folder"),
    "foreign keep folder": (["kitchen", "--out", "{}/s.usdz", "--keep", "{}/full"], "not made by lyra-sim"),
    "unknown place, strict": (["zzzqqq", "--strict", "--out", "{}/s.usdz"], "zzzqqq"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_bad_input_gets_one_line_and_leaves_nothing(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that each kind of bad input ends non-zero with one clear line and writes no file."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("precious")
    (tmp_path / "full.ply").mkdir()
    options, expected = FAILURES[case]
    status = main(["gen", *(o.format(tmp_path) for o in options), "--progress", "none"])
    captured = capsys.readouterr()
    assert status != 0
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("lyra-sim: error: ")
    assert expected in captured.err
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["full", "full.ply", "mine.txt"]


def test_errors_reach_programs_as_the_last_json_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that with --progress json the last line of stdout is the error."""
    assert main(["gen", "", "--out", str(tmp_path / "s.usdz"), "--progress", "json"]) != 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["type"] == "error"
    assert "PROMPT" in record["message"]


def test_full_size_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Show that --size full never falls back to mini in silence."""
    assert (
        main(["gen", "kitchen", "--size", "full", "--out", str(tmp_path / "s.usdz"), "--progress", "none"])
        != 0
    )
    assert "--size full cannot run here" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_version_and_help_read_well(capsys: pytest.CaptureFixture[str]) -> None:
    """Show that --version prints the version, and that help names every option of gen."""
    for arguments in (["--version"], ["gen", "--help"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
    output = capsys.readouterr().out
    assert __version__ in output
    for option in (
        "--seed",
        "--size",
        "--keep",
        "--ply",
        "--no-preview",
        "--no-collider",
        "--strict",
        "--progress",
    ):
        assert option in output


def test_importing_the_toolkit_and_its_help_stay_light() -> None:
    """Show that `import lyra_sim` and building the parser load no torch, no pxr, no omni and no numba."""
    code = (
        "import sys, lyra_sim, lyra_sim.cli; lyra_sim.cli.build_parser();"
        "print([m for m in ('torch', 'pxr', 'omni', 'numba', 'generator') if m in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_names_offered_are_those_of_their_registries() -> None:
    """Show that the names which the parser lists itself, to stay light, are those that the code behind it knows."""
    from generator.teachers import registry
    from lyra_sim.commands import eval as eval_command
    from lyra_sim.commands import picture_options
    from training.evaluation import protocols

    assert tuple(entry.name for entry in registry.TEACHERS) == picture_options.TEACHERS
    assert tuple(protocols.PROTOCOLS) == eval_command.PROTOCOLS


def test_doctor_tells_programs_what_gen_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Show that doctor's JSON lists the real options of gen and the state of both sizes."""
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["sizes"]["mini"]["available"]
    assert "--strict" in facts["gen_options"]
    assert "gen" in facts["commands"]


def test_doctor_reads_well(capsys: pytest.CaptureFixture[str]) -> None:
    """Show that doctor names the kernels in use and says what the full size needs."""
    assert main(["doctor"]) == 0
    output = capsys.readouterr().out
    assert "--size mini: ready" in output
    assert "state-space scan" in output
    assert re.search(r"lyra-static +not here +NVIDIA Open Model License", output) or "(accepted)" in output

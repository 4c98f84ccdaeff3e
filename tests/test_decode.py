"""`lyra-sim decode` from end to end: published layouts, the mini chain's own latents, and everything wrong."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from latent_scenes import FRAMES, PATHS, import_tiny_weights, rewrite, smooth_latent, write_folder
from pxr import Usd, UsdPhysics

import generator.from_latents.chain as chain
from generator import LyraPipeline
from generator.inputs import warp_conditioning
from generator.sizes import MINI
from generator.teachers.procedural import ProceduralTeacher
from generator.to_world import to_world
from generator.weights.checkpoint import load_card
from generator.worlds import parse_prompt
from lyra_sim.cli import main
from lyra_sim.collider.floaters import drop_floaters
from lyra_sim.files.ply import read_ply
from lyra_sim.usd.reader import read_usd
from training.sdg.layout import read_depth, write_scene

QUICK = ["--no-preview", "--no-collider", "--progress", "none"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture
def folder(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a scene of six views in the published layout, with tiny published weights in the store."""
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(weights))
    return write_folder(tmp_path / "views")


@pytest.fixture
def keep_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no Gaussian for a floater: those of untrained weights are all over the place."""
    monkeypatch.setattr(chain, "drop_floaters", lambda gaussians: gaussians)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Film a world on two paths with the mini chain and write its latents in the published layout."""
    pipeline = LyraPipeline.from_pretrained("mini")
    teacher = ProceduralTeacher(height=64, width=112, frames=FRAMES, supersample=1, held_out=0)
    video = teacher.imagine(parse_prompt("office corridor"), seed=2)
    clips = {number: clip for number, clip in enumerate(video.clips) if number in (0, 5)}

    def encode(rgb: np.ndarray) -> np.ndarray:
        clip = dataclasses.replace(video.clips[0], rgb=rgb)
        return pipeline.encode((clip,))[0].transpose(0, 1).numpy()

    root = tmp_path_factory.mktemp("filmed")
    sha256 = pipeline.cards["tokenizer"]["sha256"]
    write_scene(root, "corridor", clips, encode, tokenizer_sha256=sha256)
    return root


def decode(folder: Path, *options: str) -> int:
    """Run the command; the scene goes beside the folder."""
    return main(["decode", str(folder), "--out", str(folder.parent / "scene.usdz"), *options])


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> str:
    """Run the command, which must fail with one line and leave nothing, and return that line."""
    before = sorted(folder.parent.rglob("*"))
    capsys.readouterr()
    assert decode(folder, *QUICK, *options) == 2
    error = capsys.readouterr().err
    assert sorted(folder.parent.rglob("*")) == before
    assert error.startswith("lyra-sim: error: ")
    assert error.count("\n") == 1
    return error


def test_latents_of_the_mini_chain_decode_to_its_gaussians(filmed: Path) -> None:
    """Show that a written scene decodes to exactly what the pipeline makes of the same latents, cameras and depth."""
    out = filmed.parent / "round.usdz"
    options = [
        "--views",
        "5,0",
        "--size",
        "mini",
        "--ply",
        str(out.with_suffix(".ply")),
        "--progress",
        "none",
    ]
    assert main(["decode", str(filmed), "--out", str(out), *options]) == 0
    from generator.decoder.latent_folder import read_latent_folder
    from generator.from_latents.chain import cameras_of

    pipeline = LyraPipeline.from_pretrained("mini")
    scene = read_latent_folder(filmed, "corridor", pipeline.decoder.config, views=("5", "0"))
    cameras = cameras_of(scene)
    depth = read_depth(filmed / "5" / "depth" / "corridor.zip")[0]
    warped = warp_conditioning(depth, cameras, cell=pipeline.decoder.config.cell)
    expected = drop_floaters(to_world(pipeline.decode(scene.latents, cameras, warped), cameras[0].c2w[0]))
    found = read_ply(out.with_suffix(".ply"))
    assert len(found) == len(expected)
    np.testing.assert_array_equal(found.means, expected.means)
    np.testing.assert_allclose(found.opacities, expected.opacities, atol=1e-5)


def test_the_scene_of_the_mini_chain_simulates(filmed: Path) -> None:
    """Show that the scene has splats, a collider and a preview, and says what it was made of."""
    out = filmed.parent / "scene.usdz"
    assert main(["decode", str(filmed), "--views", "5,0", "--out", str(out)]) == 0
    assert out.with_suffix(".png").stat().st_size > 10_000
    stage = Usd.Stage.Open(str(out))
    assert any(p.HasAPI(UsdPhysics.MeshCollisionAPI) for p in stage.Traverse())
    provenance = read_usd(out).provenance
    assert provenance["size"] == "mini"
    assert provenance["decoded_from"] == "latents"
    assert provenance["licences"] == ["Apache-2.0"]
    assert provenance["world_frame"] == {"floor": "as the poses have it", "up_axis": "z"}


def test_published_weights_decode_the_demo_layout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Show that `.pkl` latents and imported checkpoints make a scene under their licence, with a warning."""
    ply = folder.parent / "scene.ply"
    assert decode(folder, "--no-collider", "--no-preview", "--ply", str(ply)) == 0
    told = capsys.readouterr().err
    assert "trained at 704x1280 with 121 frames only; 32x48 with 17 frames may look worse" in told
    assert "6 views of 17 frames at 32x48, 2,448 Gaussians before pruning, on the CPU" in told
    assert "about 1 s" in told or " s, " in told
    provenance = read_usd(folder.parent / "scene.usdz").provenance
    assert provenance["licences"] == ["NVIDIA Open Model License"]
    assert provenance["size"] == "full"
    assert provenance["checkpoints"]["decoder"]["licence"] == "NVIDIA Open Model License"
    assert provenance["latents"]["space"] == "diffusion"
    assert 0 < len(read_ply(ply)) <= 489


def test_equal_decodes_are_equal_files(folder: Path) -> None:
    """Show that the same latents and weights give the same bytes, whatever memory the decode is given."""
    assert decode(folder, *QUICK) == 0
    first = (folder.parent / "scene.usdz").read_bytes()
    assert decode(folder, *QUICK, "--memory-limit", "100") == 0
    assert (folder.parent / "scene.usdz").read_bytes() == first


def test_every_target_time_has_a_scene(folder: Path, keep_all: None) -> None:
    """Show that a moving scene leaves one file per time, and a stage that shows them one after another."""
    assert decode(folder, *QUICK, "--time", "0,8,16") == 0
    made = sorted(path.name for path in folder.parent.glob("scene*"))
    assert made == ["scene.usda", "scene_t000.usdz", "scene_t008.usdz", "scene_t016.usdz"]
    means = [read_usd(folder.parent / name).gaussians.means for name in made[1:]]
    assert len(means[0]) != len(means[1]) or not np.allclose(means[0], means[1])
    assert read_usd(folder.parent / made[2]).provenance["time"] == 8
    stage = Usd.Stage.Open(str(folder.parent / "scene.usda"))
    for code in (0.0, 3.0, 8.0, 12.0, 16.0):
        seen = [
            prim.GetName()
            for prim in stage.GetPrimAtPath("/World/times").GetChildren()
            if prim.GetAttribute("visibility").Get(code) == "inherited"
        ]
        assert seen == [f"t{8 * int(code // 8):03g}"]


def test_weights_that_do_not_fit_are_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that Gaussians of which none is worth keeping end in a line about latents and weights."""
    monkeypatch.setattr(chain, "drop_floaters", lambda gaussians: gaussians.select(slice(0)))
    assert "latents and weights do not seem to belong together" in refused(capsys, folder)


def test_one_time_needs_no_numbered_files(folder: Path, keep_all: None) -> None:
    """Show that a single target time goes to the file that was named."""
    assert decode(folder, *QUICK, "--time", "16") == 0
    assert [path.name for path in folder.parent.glob("scene*")] == ["scene.usdz"]


def test_a_camera_height_makes_the_scene_metric(
    filmed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that the floor is found below the camera, and that the scene stands on it at the scale of the height."""
    for view in ("0", "5"):
        shutil.copytree(filmed / view, tmp_path / "scene" / view)
        rewrite(tmp_path / "scene" / view / "pose" / "corridor.npz", lambda c2w: _scaled(c2w, 0.5))
    options = ["--views", "5,0", "--size", "mini", *QUICK, "--height-of-camera", "1.4"]
    assert decode(tmp_path / "scene", *options) == 0
    scene = read_usd(tmp_path / "scene.usdz")
    assert scene.provenance["metric"] is True
    assert scene.provenance["world_frame"]["camera_height"] == pytest.approx(1.4, abs=1e-3)
    low = np.percentile(scene.gaussians.means[:, 2], 5)
    assert abs(low) < 0.35


def _scaled(c2w: np.ndarray, factor: float) -> np.ndarray:
    """Return poses of the same paths in another unit of length."""
    c2w[:, :3, 3] *= factor
    return c2w


def test_a_dry_run_tells_the_cost_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that --dry-run reads, checks and estimates."""
    capsys.readouterr()
    assert decode(folder, "--dry-run", "--progress", "json") == 0
    *_, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)
    assert result["type"] == "result"
    assert result["seconds"] >= 0
    assert [path.name for path in folder.parent.iterdir()] == ["views"]


def test_progress_is_json_and_never_falls(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Show that front ends get stages, growing fractions and the paths of the result."""
    capsys.readouterr()
    assert decode(folder, "--no-preview", "--no-collider", "--progress", "json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    fractions = [record["fraction"] for record in records]
    assert fractions == sorted(fractions)
    assert [r["stage"] for r in records if r["stage"] in ("rays", "decoder")]
    assert records[-1]["scene"] == str(folder.parent / "scene.usdz")


def change_latent(view: str, latent: torch.Tensor):  # type: ignore[no-untyped-def]
    """Return a damage that replaces a view's latent."""
    return lambda folder: torch.save(latent.numpy(), folder / view / "latent" / "scene.pkl")


def change_npz(view: str, kind: str, change):  # type: ignore[no-untyped-def]
    """Return a damage that changes the data of a view's cameras."""
    return lambda folder: rewrite(folder / view / kind / "scene.npz", change)


def all_inverted(folder: Path) -> None:
    """Store world-to-camera matrices in every view."""
    for view in PATHS:
        rewrite(folder / view / "pose" / "scene.npz", np.linalg.inv)


SQUARE = smooth_latent(frames=16).transpose(0, 1)[None].contiguous()
WRONG = {
    "wrong shape": (change_latent("2", torch.randn(16, 4, 6)), ("2/latent/scene.pkl", "expected (channels")),
    "swapped axes, by shape": (
        change_latent("1", smooth_latent().transpose(0, 1)[None].contiguous()),
        ("1/latent/scene.pkl", "3 channels, expected 16", "swapped"),
    ),
    "swapped axes, by content": (change_latent("1", SQUARE), ("1/latent/scene.pkl", "axes look swapped")),
    "not finite": (
        change_latent("3", torch.full((1, 16, 3, 4, 6), torch.nan)),
        ("3/latent/scene.pkl", "NaN or infinite"),
    ),
    "not rigid": (
        change_npz("4", "pose", lambda c2w: c2w * np.array([1, 1, 1.5, 1])),
        ("4/pose/scene.npz", "is not rigid"),
    ),
    "w2c for c2w": (all_inverted, ("pose/scene.npz", "look like world-to-camera", "c2w = inverse of w2c")),
    "intrinsics in parts of the image": (
        change_npz("0", "intrinsics", lambda rows: rows / np.array([48, 32, 48, 32])),
        ("0/intrinsics/scene.npz", "look normalised", "multiply by the image's width 48"),
    ),
    "intrinsics of another size": (
        change_npz("0", "intrinsics", lambda rows: rows * 20),
        ("0/intrinsics/scene.npz", "for images of about 960x640"),
    ),
    "missing view": (lambda folder: shutil.rmtree(folder / "2"), ("views/2 is missing", "name the views")),
    "missing pose": (
        lambda folder: (folder / "2" / "pose" / "scene.npz").unlink(),
        ("2/pose/scene.npz is missing",),
    ),
    "mixed resolutions": (
        change_latent("3", torch.randn(1, 16, 3, 8, 6)),
        ("3/latent/scene.pkl", "differs between views", "64x48"),
    ),
    "cut off": (
        lambda folder: (folder / "1" / "latent" / "scene.pkl").write_bytes(b"PK\3\4 cut"),
        ("1/latent/scene.pkl", "cannot be read"),
    ),
    "no scene": (lambda folder: shutil.rmtree(folder / "5" / "latent"), ("views/5/latent", "is missing")),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_names_the_file_and_the_cause(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that each kind of wrong input ends the command with one line that says which file and probably why."""
    damage, words = WRONG[name]
    damage(folder)
    error = refused(capsys, folder)
    for word in words:
        assert word in error


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--views", "5,7"), "views/7 is missing"),
        (("--scene", "other"), "has no scene 'other'; it holds scene"),
        (("--time", "99"), "target time 99 is outside of the video: give 0 to 16"),
        (("--time", "3", "--weights", "lyra-static"), "take dynamic weights (lyra-dynamic)"),
        (("--weights", "lyra-dynamic"), "give a target time"),
        (("--weights", "nowhere"), "neither a folder nor known weights"),
        (("--memory-limit", "0.001"), "memory limit of 0.00 GB is too small: this decode needs at least"),
        (("--up-axis", "q"), "--up-axis q: is no axis"),
        (("--size", "mini"), "5/depth/scene.zip is missing"),
        (("--size", "full", "--weights", "lyra-static"), "give one of them"),
        (("--ply", "a.txt"), "must end in .ply"),
    ],
)
def test_wrong_options_say_what_to_do(
    options: tuple[str, ...], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that options which do not fit the folder, the weights or each other are refused with one line."""
    if "mini" in options:
        for view in PATHS:
            latent = folder / view / "latent" / "scene.pkl"
            raw = torch.from_numpy(np.asarray(torch.load(latent, weights_only=False)))
            # As many channels as the mini tokenizer has.
            raw = torch.cat([raw] * 3, dim=1)[
                :, : load_card(MINI.tokenizer)["configuration"]["latent_channels"]
            ]
            latent.unlink()
            from safetensors.torch import save_file

            save_file({"latent": raw}, latent.with_suffix(".safetensors"), metadata={"space": "raw"})
    assert words in refused(capsys, folder, *options)


def test_folders_that_are_none_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Show the lines for a folder that is not there, one without latents, and one with several scenes."""
    assert "is no folder; give the one that holds the views" in refused(capsys, tmp_path / "nowhere")
    (tmp_path / "empty" / "rgb").mkdir(parents=True)
    assert "holds no latents; expected 5/latent/NAME.pkl" in refused(capsys, tmp_path / "empty")
    folder = write_folder(tmp_path / "views")
    shutil.copy(folder / "5" / "latent" / "scene.pkl", folder / "5" / "latent" / "more.pkl")
    assert "holds 2 scenes; add --scene more, scene" in refused(capsys, folder)


def test_latents_of_another_tokenizer_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Show that a file which names the tokenizer that made it is not decoded with other weights."""
    from safetensors.torch import save_file

    path = folder / "5" / "latent" / "scene.safetensors"
    facts = {"space": "raw 0123456789abcdef"}
    save_file({"latent": smooth_latent()[None]}, path, metadata=facts)
    error = refused(capsys, folder)
    assert "made by tokenizer 0123456789ab" in error
    assert str(path) in error


def test_an_interrupt_leaves_nothing(
    folder: Path, keep_all: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that Ctrl-C between two target times removes what was written for the first."""
    original, calls = chain.write, []

    def interrupted(*arguments: object) -> dict[str, str]:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(chain, "write", interrupted)
    assert decode(folder, *QUICK, "--time", "0,16") == 130
    assert [path.name for path in folder.parent.iterdir()] == ["views"]
    assert capsys.readouterr().err.endswith("lyra-sim: error: interrupted; nothing was written\n")

"""The published depth estimators, on tiny networks of the real classes with random weights."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from depth_files import write_depth_anything, write_depth_pro
from torch import nn
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

from generator.depth.estimator import BACKENDS, DepthEstimator, load_estimator
from generator.depth.prepare import Preparation
from generator.sizes import MINI
from generator.weights.pull import import_file
from generator.weights.registry import find_entry
from generator.weights.store import Store
from generator.weights.write import write_pair
from lyra_sim.errors import LyraSimError

RGB = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store that both models were imported into."""
    folder = tmp_path_factory.mktemp("weights")
    for name, write in (("depth-pro", write_depth_pro), ("depth-anything-v2", write_depth_anything)):
        source = write(folder / f"{name}-source")
        import_file(find_entry(name), source, Store(folder / "store"))
    return folder / "store"


@pytest.fixture(autouse=True)
def _store(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(weights))


@pytest.mark.parametrize("shape", [(40, 56), (480, 640), (33, 31), (700, 180), (28, 28)])
def test_pictures_are_prepared_as_transformers_does(shape: tuple[int, int]) -> None:
    """Size and values of Depth Anything's input are those of transformers' own Pillow processor."""
    options = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    preparation = Preparation(
        140, 140, tuple(options["image_mean"]), tuple(options["image_std"]), 3, True, 14
    )
    rgb = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    theirs = DPTImageProcessorPil(
        size={"height": 140, "width": 140},
        keep_aspect_ratio=True,
        ensure_multiple_of=14,
        resample=3,
        **options,
    )
    expected = theirs(rgb, return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(preparation.before_normalising(rgb).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["depth-pro", "depth-anything-v2"])
def test_depth_is_that_of_the_network_at_the_size_of_the_picture(name: str) -> None:
    """Every pixel has finite positive depth in metres, and it varies with the picture."""
    estimator: DepthEstimator = load_estimator(name, MINI)
    assert estimator.metric
    assert estimator.name == name
    estimate = estimator.estimate(RGB)
    assert estimate.depth.shape == estimate.valid.shape == RGB.shape[:2]
    assert estimate.depth.dtype == np.float32
    assert np.isfinite(estimate.depth).all()
    assert (estimate.depth > 0).all()
    assert not np.allclose(estimate.depth, estimator.estimate(255 - RGB).depth)


def test_depth_pro_scales_with_the_focal_length() -> None:
    """Twice the focal length puts everything twice as far, exactly; unknown ones are estimated."""
    estimator = load_estimator("depth-pro", MINI)
    near, far = (estimator.estimate(RGB, intrinsics=np.array([f, f, 28.0, 20.0])) for f in (56.0, 112.0))
    inside = (far.depth < 9e3) & (near.depth > 2e-4)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(far.depth[inside], 2 * near.depth[inside], rtol=1e-5)
    assert far.intrinsics is not None
    assert far.intrinsics.tolist() == [112.0, 112.0, 28.0, 20.0]
    own = estimator.estimate(RGB)
    assert own.intrinsics is not None
    focal = own.intrinsics[0]
    # The tiny network's field of view is about 60 degrees by construction.
    assert 0.5 * 56 / np.tan(np.radians(40)) < focal < 0.5 * 56 / np.tan(np.radians(20))
    same = estimator.estimate(RGB, intrinsics=own.intrinsics)
    np.testing.assert_allclose(same.depth, own.depth, rtol=1e-5)


def test_depth_anything_keeps_the_metres_of_its_checkpoint() -> None:
    """Depth lies within the 20 m of the checkpoint, and what touches the limit counts as open."""
    estimator = load_estimator("depth-anything-v2", MINI)
    estimate = estimator.estimate(RGB)
    # Bicubic interpolation may overshoot the network's own limit a little.
    assert estimate.depth.max() <= 20 * 1.1
    assert estimate.intrinsics is None
    assert (estimate.depth[~estimate.valid] >= 19.8 - 1e-3).all()


def test_checkpoints_without_metres_and_damaged_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative checkpoint, and one that lacks tensors, end in one line instead of wrong depth."""
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(tmp_path / "store"))
    source = write_depth_anything(tmp_path / "source", kind="relative")
    import_file(find_entry("depth-anything-v2"), source, Store())
    with pytest.raises(LyraSimError, match="relative checkpoint"):
        load_estimator("depth-anything-v2", MINI)
    from safetensors.torch import load_file, save_file

    weights = source / "model.safetensors"
    tensors = load_file(weights)
    tensors.pop(sorted(tensors)[0])
    weights.unlink()
    save_file(tensors, weights, {"format": "pt"})
    import_file(find_entry("depth-anything-v2"), source, Store())
    with pytest.raises(LyraSimError, match="lacks 1 tensors such as"):
        load_estimator("depth-anything-v2", MINI)
    with pytest.raises(LyraSimError, match="weights pull depth-pro"):
        load_estimator("depth-pro", MINI)


class FakeMoGe(nn.Module):
    """Stand for `moge.model.v1.MoGeModel`: its constructor's and `infer`'s names, nothing learnt."""

    def __init__(self, encoder: str = "dinov2_vitb14", remap_output: str = "linear") -> None:
        super().__init__()
        self.encoder = encoder
        self.scale = nn.Parameter(torch.tensor(1.0))

    def infer(
        self,
        image: torch.Tensor,
        fov_x: float | None = None,
        resolution_level: int = 9,
        num_tokens: int | None = None,
        apply_mask: bool = True,
        force_projection: bool = True,
        use_fp16: bool = True,
    ) -> dict[str, torch.Tensor]:
        assert image.shape[0] == 3
        assert 0 <= image.min() <= image.max() <= 1
        depth = self.scale * (1 + image[0])
        mask = torch.ones_like(depth, dtype=torch.bool)
        mask[0] = False
        depth = torch.where(mask, depth, torch.inf)
        focal = 0.8 if fov_x is None else 0.5 / np.tan(np.radians(fov_x) / 2)
        intrinsics = torch.tensor([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1]])
        return {"depth": depth, "mask": mask, "intrinsics": intrinsics}


def test_moge_runs_where_its_package_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights and configuration come from the card; masked pixels get GEN3C's 1000, the lens its pixels.

    The network is a fake with the real names of version 1, because the package is on no index.
    """
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(tmp_path))
    with pytest.raises(LyraSimError, match="microsoft/MoGe"):
        load_estimator("moge", MINI)
    for name in ("moge", "moge.model", "moge.model.v1"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["moge.model.v1"], "MoGeModel", FakeMoGe, raising=False)
    configuration = {"model_config": {"encoder": "dinov2_vitl14"}}
    write_pair(tmp_path, "moge-depth", "depth", {"scale": torch.tensor(3.0)}, configuration, {})
    estimator = load_estimator("moge", MINI)
    assert not estimator.metric
    estimate = estimator.estimate(RGB)
    assert (estimate.depth[0] == 1000).all()
    assert not estimate.valid[0].any()
    np.testing.assert_allclose(estimate.depth[1:], 3 * (1 + RGB[1:, :, 0] / 255), rtol=1e-5)
    assert estimate.intrinsics is not None
    np.testing.assert_allclose(estimate.intrinsics, [0.8 * 56, 0.8 * 40, 28, 20], rtol=1e-6)
    given = np.array([70.0, 70.0, 28.0, 20.0])
    known = estimator.estimate(RGB, intrinsics=given)
    assert known.intrinsics is not None
    np.testing.assert_array_equal(known.intrinsics, given)
    write_pair(tmp_path, "moge-depth", "depth", {"other": torch.tensor(3.0)}, configuration, {})
    with pytest.raises(LyraSimError, match="do not fit the package moge"):
        load_estimator("moge", MINI)


def test_every_name_has_a_module() -> None:
    """Each backend's module can be imported and has `load`, without its weights or package."""
    import importlib

    for name in set(BACKENDS) - {"mini"}:
        assert callable(importlib.import_module(BACKENDS[name]).load)

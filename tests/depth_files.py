"""Tiny depth networks with random weights, in the layouts that transformers publishes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    DepthProConfig,
    DepthProForDepthEstimation,
    Dinov2Config,
)

BACKBONE = {
    "hidden_size": 8,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "reshape_hidden_states": False,
}


def write_depth_anything(folder: Path, *, kind: str = "metric") -> Path:
    """Write a Depth Anything that gives depth from 0 to 20 m, of pictures near 28 px."""
    torch.manual_seed(0)
    backbone = Dinov2Config(
        **{**BACKBONE, "num_hidden_layers": 4}, image_size=28, patch_size=14, out_indices=[1, 2, 3, 4]
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=8,
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=4,
        head_hidden_size=4,
        depth_estimation_type=kind,
        max_depth=20,
    )
    network = DepthAnythingForDepthEstimation(config)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)
    return _with_preparation(
        folder,
        {"size": {"height": 28, "width": 28}, "resample": 3, "keep_aspect_ratio": True},
        {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "ensure_multiple_of": 14},
    )


def write_depth_pro(folder: Path) -> Path:
    """Write a Depth Pro with a field-of-view head, of pictures resized to 64 px."""
    torch.manual_seed(0)
    backbone = {**BACKBONE, "model_type": "dinov2", "num_hidden_layers": 3, "image_size": 16, "patch_size": 4}
    config = DepthProConfig(
        patch_size=16,
        fusion_hidden_size=8,
        intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[8, 8],
        scaled_images_ratios=[0.25, 0.5, 1],
        scaled_images_overlap_ratios=[0.0, 0.5, 0.25],
        scaled_images_feature_dims=[8, 8, 8],
        merge_padding_value=1,
        use_fov_model=True,
        num_fov_head_layers=0,
        image_model_config=backbone,
        patch_model_config=backbone,
        fov_model_config=backbone,
    )
    network = DepthProForDepthEstimation(config)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    head = network.fov_model.head.layers[-1]
    nn.init.constant_(head.bias, 60.0)
    network.save_pretrained(folder)
    return _with_preparation(
        folder,
        {"size": {"height": 64, "width": 64}, "resample": 2},
        {"image_mean": [0.5] * 3, "image_std": [0.5] * 3},
    )


def _with_preparation(folder: Path, *parts: dict[str, object]) -> Path:
    document = {key: value for part in parts for key, value in part.items()}
    (folder / "preprocessor_config.json").write_text(json.dumps(document))
    return folder

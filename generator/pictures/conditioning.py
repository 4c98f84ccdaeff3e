"""From the files of a request to a conditioning picture, with every assumption said aloud."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from generator.depth import DepthEstimator
from generator.depth.estimator import FIND_THE_LENS, licence_of_estimator
from generator.pictures.depth_file import read_depth
from generator.pictures.fit import Window, fill_depth
from generator.pictures.lens import USUAL_FIELD, read_lens, usual_lens
from generator.pictures.photograph import Photograph, read_photograph
from generator.request import Fit
from generator.teachers.conditioning import Picture
from lyra_sim.errors import LyraSimError

Note = Callable[[str], None]
"""Called with a sentence for people."""

MIN_MEASURED = 0.02
"""Least share of pixels with measured depth."""
_FLAT = 1.02
"""Ratio of the 95th to the 5th percentile of depth below which a picture shows one flat wall."""
_BLANK = 2.0
"""Standard deviation of the picture's values (of 255) below which there is nothing to estimate depth from."""


@dataclass(frozen=True)
class PictureFiles:
    """Name the files of one conditioning picture."""

    image: Path
    """The photograph."""
    depth: Path | None = None
    """Its depth map, seen by the same camera."""
    depth_unit: str | None = None
    """`mm` or `m`; None takes what is usual for the kind of file."""
    intrinsics: str | None = None
    """`fx,fy,cx,cy` or a file; see `read_lens`."""
    fit: Fit = "crop"
    """How the picture is brought to the shape of the frames."""


def load_picture(files: PictureFiles, *, height: int, width: int, note: Note) -> Picture:
    """Read the files and return the picture at (height, width), with depth where a file gives it.

    Raises:
        LyraSimError: A file cannot be used, or the files do not go together.
    """
    photograph = read_photograph(files.image, needed=(height, width))
    source = (photograph.height, photograph.width)
    window = Window.of(source, (height, width), files.fit)
    values, lens_source = _lens(files, photograph, note)
    rgb = photograph.window(window.box, height, width)
    about: dict[str, object] = {
        "sha256": photograph.sha256,
        "size_px": [photograph.width, photograph.height],
        "fit": files.fit,
        "window_px": [round(v, 3) for v in window.box],
        "intrinsics_from": lens_source,
    }
    _note_window(window, files.fit, note)
    picture = Picture(rgb, None, window.intrinsics(values), about, metric=False)
    return picture if files.depth is None else _with_depth_file(picture, files, window, note)


def _lens(files: PictureFiles, photograph: Photograph, note: Note) -> tuple[np.ndarray, str]:
    """Return fx, fy, cx, cy [px of the file's picture] and where they are from."""
    height, width = photograph.height, photograph.width
    if files.intrinsics is not None:
        lens = read_lens(files.intrinsics)
        if lens.distorted:
            note(
                "The camera file lists lens distortion, which is not modelled: use the rectified picture and its K"
            )
        return lens.scaled_to(height, width, where=f"--intrinsics {files.intrinsics}"), "given"
    if photograph.focal is not None:
        note(f"Focal length from EXIF: {photograph.focal:.0f} px of {width}x{height}")
        return usual_lens(height, width, focal=photograph.focal), "exif"
    return usual_lens(height, width), "assumed"


def _note_window(window: Window, fit: Fit, note: Note) -> None:
    (height, width), (rows, columns) = window.source, window.target
    left, top, right, bottom = window.box
    shown = (right - left) * (bottom - top) / (height * width)
    if fit == "crop" and shown < 0.95:
        note(
            f"The picture of {width}x{height} px is cropped to its middle {right - left:.0f}x{bottom - top:.0f} px"
        )
    if height < rows or width < columns:
        note(f"The picture of {width}x{height} px is smaller than the {columns}x{rows} px that are worked on")


def _with_depth_file(picture: Picture, files: PictureFiles, window: Window, note: Note) -> Picture:
    assert files.depth is not None
    measured = read_depth(files.depth, unit=files.depth_unit)
    rows, columns = measured.depth.shape
    height, width = window.source
    if abs(rows * width / (columns * height) - 1) > 0.01:
        turned = (
            " (is the picture turned by EXIF, and the depth not?)"
            if (rows, columns) != (height, width)
            else ""
        )
        raise LyraSimError(
            f"--depth {files.depth}: has {columns}x{rows} px, the picture {width}x{height}; "
            f"they must show the same view{turned}"
        )
    if picture.source["intrinsics_from"] == "assumed":
        note(assumption("Without --intrinsics the scene is true to scale only in depth"))
    about = {
        "depth_from": "file",
        "depth_sha256": measured.sha256,
        "depth_unit": measured.unit,
        "depth_size_px": [columns, rows],
    }
    fitted = window.depth(measured.depth)
    return with_measured_depth(
        picture, fitted, where=f"--depth {files.depth}", metric=True, note=note, **about
    )


def with_measured_depth(
    picture: Picture, depth: np.ndarray, *, where: str, metric: bool, note: Note, **source: object
) -> Picture:
    """Return the picture with measured depth, its holes filled from their surroundings.

    Args:
        picture: The picture.
        depth: z-depth, (H, W), 0 in holes.
        where: What gave the depth, for the error.
        metric: Whether the depth is in metres.
        note: Told how much was filled.
        source: Additions to the provenance.

    Raises:
        LyraSimError: Hardly anything was measured.
    """
    missing = depth <= 0
    if missing.mean() > 1 - MIN_MEASURED:
        raise LyraSimError(
            f"{where}: only {1 - missing.mean():.1%} of the picture has depth; at least {MIN_MEASURED:.0%} is needed"
        )
    if missing.any():
        note(
            f"{missing.mean():.1%} of the depth ({int(missing.sum()):,} of {missing.size:,} px) is missing and "
            "was filled from its surroundings"
        )
    about = {**source, "depth_filled": round(float(missing.mean()), 5)}
    filled = picture.with_depth(fill_depth(depth, picture.rgb), metric=metric, **about)
    _note_flat(filled, note)
    return filled


def estimate_depth(picture: Picture, estimator: DepthEstimator, *, note: Note) -> Picture:
    """Return the picture with estimated depth; intrinsics that nobody stated are the estimator's, if it has any.

    Raises:
        LyraSimError: The estimate is no usable depth.
    """
    stated = picture.source["intrinsics_from"] != "assumed"
    told = stated or estimator.name not in FIND_THE_LENS
    estimate = estimator.estimate(picture.rgb, intrinsics=picture.intrinsics if told else None)
    source = dict(picture.source)
    intrinsics = picture.intrinsics
    if not told and estimate.intrinsics is not None:
        intrinsics = np.asarray(estimate.intrinsics, np.float64)
        source["intrinsics_from"] = estimator.name
    elif not stated:
        note(assumption("The picture says nothing about its lens"))
    trusted = float(estimate.trusted.mean())
    if trusted < MIN_MEASURED:
        raise LyraSimError(
            f"the depth estimator {estimator.name} found depth in {trusted:.1%} of the picture only; "
            "use another picture, or give --depth"
        )
    if picture.rgb.std() < _BLANK:
        note("The picture shows next to nothing (a blank wall?): its estimated depth means little")
    done = replace(picture, intrinsics=intrinsics, source=source).with_depth(
        estimate.dense(),
        metric=estimator.metric,
        depth_from=estimator.name,
        depth_licence=licence_of_estimator(estimator.name),
        beyond_depth=round(1 - trusted, 5),
    )
    _note_flat(done, note)
    return done


def assumption(sentence: str) -> str:
    """Return the sentence that says which lens is assumed, and why."""
    return f"{sentence}: a field of view of {USUAL_FIELD:.0f} degrees along its longer side is assumed"


def _note_flat(picture: Picture, note: Note) -> None:
    near, far = np.percentile(picture.require_depth(), [5, 95])
    if far < _FLAT * near:
        note(f"The depth is {near:.2f} m almost everywhere: the scene is one flat wall")

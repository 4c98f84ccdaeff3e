"""The files that films end in: a folder of pictures, or an MP4."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from generator.camera_files import PosedFrames, transforms_dict
from generator.cameras import Cameras
from generator.film.frames import Frame
from generator.film.labels import palette
from lyra_sim.atomic import atomic_folder, atomic_path
from lyra_sim.errors import LyraSimError

LAYERS = ("rgb", "depth", "labels")
MARKER = "render.json"
"""The file by which a folder is known as an earlier result, which may be replaced."""
_FOLDERS = {"rgb": "images", "depth": "depth", "labels": "labels"}
_QUALITY = "17"
"""H.264 constant rate factor; below 18 the loss is hard to see."""
_BT709 = 1
"""Code of the ITU-R BT.709 colour matrix and primaries in H.264."""


class Sink(Protocol):
    """Take the frames of a film in order."""

    def add(self, index: int, frame: Frame) -> None:
        """Take frame `index`."""
        ...

    def finish(self, report: dict[str, Any]) -> None:
        """Take what there is to say about the whole film, after the last frame."""
        ...


class PictureFolder:
    """Write `images/`, `depth/` and `labels/` as PNG, with cameras and classes beside them."""

    def __init__(
        self, folder: Path, cameras: Cameras, layers: tuple[str, ...], classes: tuple[str, ...]
    ) -> None:
        self._folder, self._cameras, self._layers, self._classes = folder, cameras, layers, classes
        self._palette = palette(len(classes)).reshape(-1).tolist()
        for layer in layers:
            (folder / _FOLDERS[layer]).mkdir()

    def add(self, index: int, frame: Frame) -> None:
        """Write the pictures of one frame."""
        pictures = {"rgb": frame.rgb, "depth": frame.depth_mm, "labels": frame.labels}
        for layer in self._layers:
            pixels = pictures[layer]
            assert pixels is not None
            picture = Image.fromarray(pixels)
            if layer == "labels":
                picture.putpalette(self._palette)
            picture.save(self._folder / self._name(layer, index), compress_level=3)

    def finish(self, report: dict[str, Any]) -> None:
        """Write `transforms.json`, `classes.json` and the report."""
        names = {
            layer: tuple(self._name(layer, i) for i in range(len(self._cameras))) for layer in self._layers
        }
        posed = PosedFrames(self._cameras, names.get("rgb", ()), names.get("depth", ()))
        # nerfstudio multiplies depth pictures by this factor to get metres.
        extra = {"depth_unit_scale_factor": 0.001} if "depth" in names else {}
        self._write("transforms.json", transforms_dict(posed, extra=extra))
        if "labels" in names:
            colours = palette(len(self._classes)).tolist()
            rows = zip(self._classes, colours, strict=True)
            self._write("classes.json", [{"class": name, "rgb": colour} for name, colour in rows])
        self._write(MARKER, report)

    def _name(self, layer: str, index: int) -> str:
        return f"{_FOLDERS[layer]}/{index:05d}.png"

    def _write(self, name: str, content: object) -> None:
        (self._folder / name).write_text(json.dumps(content, indent=1) + "\n")


class Movie:
    """Encode the colour pictures as H.264 in an MP4."""

    def __init__(self, path: Path, cameras: Cameras, fps: Fraction) -> None:
        av = _import_av()
        self._make_frame = av.VideoFrame.from_ndarray
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        stream = self._container.add_stream("libx264", rate=fps, options={"crf": _QUALITY})
        stream.width, stream.height, stream.pix_fmt = cameras.width, cameras.height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        self._stream = stream

    def add(self, index: int, frame: Frame) -> None:
        """Encode one frame."""
        picture = self._make_frame(np.ascontiguousarray(frame.rgb), format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
        self._container.mux(self._stream.encode(picture))

    def finish(self, report: dict[str, Any]) -> None:
        """Encode what the encoder still holds; a movie has no place for the report."""
        self._container.mux(self._stream.encode())

    def close(self) -> None:
        """Close the file, whatever happened before."""
        self._container.close()


@contextmanager
def open_sink(
    out: Path, cameras: Cameras, *, layers: tuple[str, ...], classes: tuple[str, ...], fps: Fraction
) -> Iterator[Sink]:
    """Yield what takes the frames; `out` appears when the block succeeds, and is left as it was otherwise."""
    if out.suffix.lower() != ".mp4":
        with atomic_folder(out, option="--out", marker=MARKER) as folder:
            yield PictureFolder(folder, cameras, layers, classes)
        return
    with atomic_path(out) as temporary:
        movie = Movie(temporary, cameras, fps)
        try:
            yield movie
        finally:
            movie.close()


def _import_av() -> Any:
    try:
        import av
    except ImportError as error:
        raise LyraSimError(f"an MP4 needs PyAV: pip install 'lyra-sim[view]' ({error})") from error
    return av

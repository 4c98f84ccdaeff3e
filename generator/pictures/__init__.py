"""From files to a conditioning picture: photographs, depth maps and lenses, fitted to the frames of a size."""

from generator.pictures.conditioning import PictureFiles, estimate_depth, load_picture

__all__ = ["PictureFiles", "estimate_depth", "load_picture"]

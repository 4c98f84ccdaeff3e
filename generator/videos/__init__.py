"""Videos to start from: frames, depth, poses and lens, from files to what a teacher films around."""

from generator.videos.recording import Recording
from generator.videos.request import VideoFiles, load_recording

__all__ = ["Recording", "VideoFiles", "load_recording"]

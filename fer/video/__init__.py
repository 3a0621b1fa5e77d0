"""Emotions in films and from a webcam: frames in, faces followed, an annotated film and a time line out."""

from fer.video.cuts import CutFinder
from fer.video.follow import Follower
from fer.video.smoothing import Smoother
from fer.video.timeline import Row, Timeline, read_timeline
from fer.video.tracking import Tracker

__all__ = ["CutFinder", "Follower", "Row", "Smoother", "Timeline", "Tracker", "read_timeline"]

"""Predict on videos and webcams: read frames, track faces, write an annotated video and a timeline."""

from fer.video.cuts import CutDetector
from fer.video.follow import FaceTracker
from fer.video.smoothing import Smoother
from fer.video.timeline import Row, Timeline, read_timeline
from fer.video.tracking import BoxTracker

__all__ = ["BoxTracker", "CutDetector", "FaceTracker", "Row", "Smoother", "Timeline", "read_timeline"]

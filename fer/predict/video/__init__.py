"""Predict on videos and webcams: read frames, track faces, write an annotated video and a timeline."""

from fer.predict.video.timeline import Row, Timeline, read_timeline
from fer.predict.video.tracking import BoxTracker, CutDetector, FaceTracker, Smoother

__all__ = ["BoxTracker", "CutDetector", "FaceTracker", "Row", "Smoother", "Timeline", "read_timeline"]

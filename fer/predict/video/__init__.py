"""Predict on videos and webcams: read frames, track faces, write an annotated video and a timeline."""

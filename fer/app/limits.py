"""Limits on the resources of one visitor."""

# Images in one upload.
MAX_IMAGES = 20
MAX_IMAGE_MB = 25
# All files that a session has in memory; raised if needed to hold two files of the maximal upload size.
MAX_SESSION_MB = 200
MAX_SESSION_FILES = 100
# Pixels; detectors find no face in a smaller image.
MIN_SIDE = 16
MAX_VIDEO_SECONDS = 120.0
# Two minutes at 60 frames per second.
MAX_VIDEO_FRAMES = 7_200
# Per frame: 4K.
MAX_VIDEO_PIXELS = 10_000_000
# The largest faces are kept. Annotating a thousand faces would take half a minute.
MAX_FACES_PER_IMAGE = 200
# Of a video or a camera; the largest faces are kept.
MAX_FACES_PER_FRAME = 20
# Pixels of the longer side of an image that is kept for display.
MAX_DISPLAY_SIDE = 1280

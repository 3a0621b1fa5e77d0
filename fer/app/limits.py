"""How much one visitor may ask for."""

MAX_PICTURES = 20  # at a time
MAX_PICTURE_MB = 25
MAX_SESSION_MB = 200  # of all files that a visitor has in memory; a film and its successor at least
MAX_SESSION_FILES = 100
MIN_SIDE = 16  # pixels; in less, nobody finds a face
MAX_VIDEO_SECONDS = 120.0
MAX_VIDEO_FRAMES = 7_200  # two minutes at 60 a second
MAX_VIDEO_PIXELS = 10_000_000  # of a frame: 4K
MAX_CROWD = 200  # faces of a picture, the largest ones: drawing around a thousand takes half a minute
MAX_FACES = 20  # of a frame of a film or a camera, the largest ones
SHOWN_SIDE = 1280  # pixels of the longer side of what is kept and shown of a picture

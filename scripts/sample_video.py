"""Render fer/app/sample.mp4: two synthetic people in a video call, whose expressions change, with sound.

    python scripts/sample_video.py fer/app/sample.mp4

Nobody real is shown. A soft note marks each change of an expression.
"""

import argparse
from dataclasses import fields, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from fer.data.synthetic import FaceParameters, face_at, render_face

FPS, SECONDS = 15, 9
WIDTH, HEIGHT, SIDE = 640, 352, 304
BACKGROUND = 38
RATE, NOTE_SECONDS = 22_050, 0.6
# Duration of a change between two expressions, in seconds.
CHANGE = 0.5
# The expression's parameters are the first of `FaceParameters`.
EXPRESSION = [field.name for field in fields(FaceParameters)][:19]
# Seed and position of a face with this expression, see `face_at`.
EXPRESSIONS = {
    "happy": (5, 7), "surprise": (11, 119), "angry": (11, 5), "sad": (5, 92), "neutral": (5, 146),
}  # fmt: skip
# Identity, centre of the image, time of joining, and the expressions with the times they start.
PEOPLE = (
    ((5, 2), 164, 0.0, [(0.0, "neutral"), (2.0, "happy"), (5.0, "surprise"), (7.2, "neutral")]),
    ((11, 2), 476, 1.0, [(0.0, "neutral"), (3.5, "sad"), (6.0, "happy")]),
)


def parameters(identity: tuple[int, int], changes: list[tuple[float, str]], time: float) -> FaceParameters:
    """Return the face of a person at a time."""
    face, _ = face_at(identity[0], 0, identity[1], difficulty=0.2)
    values = expression(changes[0][1])
    for (_, before), (start, after) in pairwise(changes):
        weight = float(np.clip((time - start) / CHANGE, 0, 1))
        if weight > 0:
            old, new = expression(before), expression(after)
            values = {name: (1 - weight) * old[name] + weight * new[name] for name in EXPRESSION}
    sway = identity[0] + time
    pose = {"yaw": 5 * np.sin(1.3 * sway), "roll": 2 * np.sin(0.9 * sway), "pitch": 2 * np.sin(0.7 * sway)}
    blink = 0.9 if (sway % 3.1) < 0.12 else values["lid_droop"]
    return replace(face, **(values | pose | {"lid_droop": blink, "noise": 0.0}))


def expression(name: str) -> dict[str, float]:
    """Return the parameters of an expression."""
    seed, position = EXPRESSIONS[name]
    face, _ = face_at(seed, 0, position, difficulty=0.2)
    return {field: float(getattr(face, field)) for field in EXPRESSION}


def frame_at(time: float) -> np.ndarray:
    """Return the image at a time in seconds, RGB, uint8 ``(HEIGHT, WIDTH, 3)``."""
    image = np.full((HEIGHT, WIDTH, 3), BACKGROUND, np.uint8)
    top = (HEIGHT - SIDE) // 2
    for identity, centre, joins, changes in PEOPLE:
        # Fades in: a sudden change is detected as a cut.
        opacity = 1.0 if joins == 0 else float(np.clip((time - joins) / CHANGE, 0, 1))
        if opacity > 0:
            left = centre - SIDE // 2
            face, _ = render_face(parameters(identity, changes, time), SIDE)
            tile = image[top : top + SIDE, left : left + SIDE]
            tile[:] = np.rint((1 - opacity) * tile + opacity * face)
    return image


def sound() -> np.ndarray:
    """Return soft notes at the changes, float32 ``(N,)``, -1 to 1."""
    samples = np.zeros(RATE * SECONDS, np.float32)
    time = np.arange(round(RATE * NOTE_SECONDS)) / RATE
    for (*_, changes), frequency in zip(PEOPLE, (440.0, 330.0), strict=True):
        for start, _ in changes[1:]:
            note = 0.15 * np.sin(2 * np.pi * frequency * time) * np.exp(-6 * time) * np.minimum(1, 100 * time)
            first = round(start * RATE)
            samples[first : first + len(note)] += note[: len(samples) - first].astype(np.float32)
    return samples


def main() -> None:
    """Write the video."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("path", type=Path)
    path = command.parse_args().path
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": "veryslow", "crf": "27"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=RATE)
        audio.layout, audio.bit_rate = "mono", 24_000
        for index in range(FPS * SECONDS):
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame_at(index / FPS), "rgb24")))
        container.mux(video.encode())
        samples = av.AudioFrame.from_ndarray(sound()[None], "fltp", "mono")
        samples.sample_rate, samples.pts, samples.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(audio.encode(samples))
        container.mux(audio.encode())
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

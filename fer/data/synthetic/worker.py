"""A process that draws one share of a set and writes its pixels to standard output."""

import json
import sys

import cv2

from fer.data.synthetic.drawing import Recipe, draw_share


def main() -> None:
    """Read the job, JSON, from the first argument."""
    job = json.loads(sys.argv[1])
    cv2.setNumThreads(1)  # the workers share the processors out among themselves
    recipe = Recipe(**{**job["recipe"], "counts": tuple(job["recipe"]["counts"])})
    sys.stdout.buffer.write(draw_share(recipe, job["first"], job["step"]).tobytes())


if __name__ == "__main__":
    main()

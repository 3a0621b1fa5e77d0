"""A worker process that renders one part of a dataset and writes its pixels to standard output."""

import json
import sys

import cv2

from fer.data.synthetic.dataset import DatasetSpec, render_part


def main() -> None:
    """Render the part that the first argument, JSON, specifies."""
    job = json.loads(sys.argv[1])
    # One thread, because there is a worker for each CPU.
    cv2.setNumThreads(1)
    spec = DatasetSpec(**{**job["spec"], "counts": tuple(job["spec"]["counts"])})
    sys.stdout.buffer.write(render_part(spec, job["first"], job["step"]).tobytes())


if __name__ == "__main__":
    main()

"""Load test of the app: many visitors send images at once; reports waiting times and memory.

uv run python scripts/load_app.py                                      # starts its own server
uv run python scripts/load_app.py --url http://localhost:8501 --pid 4711

Each visitor uses the protocol of a browser (see send_to_app.py) and sends synthetic faces. A waiting time is
measured from the upload to the complete page with the prediction. Exits with status 1 if an upload failed.
"""

import argparse
import asyncio
import os
import random
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from send_to_app import TIMEOUT, Visitor

from fer.data.synthetic import face_at, render_face

# Appears only on a page with a prediction.
PREDICTION = "Probability of each emotion"


def images(number, size):
    """Yield JPEG files of a synthetic face on a background, ``size`` (width, height) in pixels."""
    width, height = size
    ramp = np.linspace(150, 220, width, dtype=np.uint8)
    for position in range(number):
        image = np.repeat(np.tile(ramp, (height, 1))[..., None], 3, axis=2)
        side = height // 2
        face = render_face(face_at(5, 0, position, difficulty=0.2)[0], min(side, 512))[0]
        face = cv2.resize(face, (side, side))
        left = (width - side) * position // max(1, number)
        image[side // 2 : side // 2 + side, left : left + side] = face
        yield cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


async def visit(url, contents, every, end, waits, failures):
    """Upload an image every ``every`` seconds until the end."""
    await asyncio.sleep(random.uniform(0, every))
    try:
        async with Visitor(url) as visitor:
            number = 0
            while (begin := time.monotonic()) < end:
                seconds = await visitor.upload(f"face {number}.jpg", contents[number % len(contents)])
                waits.append((begin, seconds))
                if not any(PREDICTION in text for text in visitor.texts):
                    failures.append(f"no prediction on the page: {' '.join(visitor.texts)[:300]}")
                number += 1
                await asyncio.sleep(max(0.0, begin + every - time.monotonic()))
    # Any failure of a visitor is counted.
    except Exception as error:
        failures.append(f"{type(error).__name__}: {error}")


async def sample_memory(pid, end, samples):
    """Append the memory of the server to ``samples`` every 5 seconds."""
    while time.monotonic() < end:
        samples.extend([megabytes(pid)] if pid else [])
        await asyncio.sleep(5)


def megabytes(pid):
    """Return the resident memory of a process (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024


async def load(url, pid, options):
    """Return waiting times after the warm-up, failures, memory samples in MB, and CPU seconds."""
    contents = list(images(8, tuple(options.size)))
    waits, failures, samples, cpu_seconds = [], [], [], []
    measured_from = time.monotonic() + options.warm_up
    end = measured_from + options.seconds
    visits = [
        visit(url, contents[number % 8 :] + contents[: number % 8], options.every, end, waits, failures)
        for number in range(options.sessions)
    ]

    async def measure_server():
        await asyncio.sleep(options.warm_up)
        cpu_seconds.append(cpu_time(pid))
        await sample_memory(pid, end, samples)
        cpu_seconds.append(cpu_time(pid))

    await asyncio.gather(*visits, measure_server())
    return (
        [seconds for begin, seconds in waits if begin >= measured_from],
        failures,
        samples,
        cpu_seconds[1] - cpu_seconds[0],
    )


def cpu_time(pid):
    """Return the CPU seconds that a process has used (Linux)."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server(arguments):
    """Start the app on a free port; yield its URL and process ID."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "fer.app.cli", "--no-browser", "--port", str(port), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    try:
        url = f"http://localhost:{port}"
        _wait(url, process)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _wait(url, process):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start. Run fer-app with the same options to see the error.")


def report(waits, failures, samples, cpu_seconds):
    """Print the results."""
    print(f"uploads      {len(waits)}, errors {len(failures)}")
    for failure in failures[:5]:
        print(f"             {failure}")
    if len(waits) > 1:
        percentiles = statistics.quantiles(waits, n=100)
        p50, p95 = percentiles[49], percentiles[94]
        print(f"wait         p50 {p50:.2f} s, p95 {p95:.2f} s, longest {max(waits):.2f} s")
    if cpu_seconds and waits:
        print(f"CPU          {1000 * cpu_seconds / len(waits):.0f} ms of one core per upload")
    if samples:
        change = 100 * (samples[-1] / samples[0] - 1)
        trend = f"{samples[0]:.0f} MB at the start, {samples[-1]:.0f} MB at the end ({change:+.1f} %)"
        print(f"memory       {trend}, maximum {max(samples):.0f} MB")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="URL of a running server (default: start one)")
    parser.add_argument("--pid", type=int, help="process ID of that server, to measure its memory")
    parser.add_argument("--sessions", type=int, default=20, help="concurrent visitors (default: 20)")
    parser.add_argument(
        "--every", type=float, default=5, help="seconds between uploads of a visitor (default: 5)"
    )
    parser.add_argument(
        "--seconds", type=float, default=180, help="duration of the measurement (default: 180)"
    )
    parser.add_argument(
        "--warm-up", type=float, default=20, help="seconds before the measurement (default: 20)"
    )
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        default=(1280, 960),
        metavar=("W", "H"),
        help="size of the images in pixels",
    )
    parser.add_argument("--detector", default="auto", help="detector of the server that is started")
    options = parser.parse_args()
    if options.url:
        results = asyncio.run(load(options.url, options.pid, options))
    else:
        with server(["--detector", options.detector]) as (url, pid):
            results = asyncio.run(load(url, pid, options))
    report(*results)
    sys.exit(1 if results[1] else 0)


if __name__ == "__main__":
    main()

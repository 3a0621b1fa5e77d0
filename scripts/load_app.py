"""Let many visitors send pictures to the app at once; say how long they wait, and what memory it takes.

uv run python scripts/load_app.py                                      # starts a server of its own
uv run python scripts/load_app.py --url http://localhost:8501 --pid 4711

Each visitor speaks to the server as a browser does (see send_to_app.py) and sends drawn faces. A wait is from
the click to the last part of the page that shows the answer. Ends with status 1 when an upload failed.
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
from send_to_app import PATIENCE, Visitor

from fer.data.synthetic import face_at, render_face

ANSWER = "How probable each emotion is"  # only on a page with an answer


def pictures(number, size):
    """Draw JPEGs of a face in a room, ``size`` (width, height) in pixels."""
    width, height = size
    ramp = np.linspace(150, 220, width, dtype=np.uint8)
    for position in range(number):
        scene = np.repeat(np.tile(ramp, (height, 1))[..., None], 3, axis=2)
        side = height // 2
        face = render_face(face_at(5, 0, position, difficulty=0.2)[0], min(side, 512))[0]
        face = cv2.resize(face, (side, side))
        left = (width - side) * position // max(1, number)
        scene[side // 2 : side // 2 + side, left : left + side] = face
        yield cv2.imencode(".jpg", scene[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


async def visit(url, contents, every, end, waits, failures):
    """Send a picture every so many seconds until the end."""
    await asyncio.sleep(random.uniform(0, every))
    try:
        async with Visitor(url) as visitor:
            number = 0
            while (begin := time.monotonic()) < end:
                taken = await visitor.upload(f"face {number}.jpg", contents[number % len(contents)])
                waits.append((begin, taken))
                if not any(ANSWER in text for text in visitor.texts):
                    failures.append(f"no answer on the page: {' '.join(visitor.texts)[:300]}")
                number += 1
                await asyncio.sleep(max(0.0, begin + every - time.monotonic()))
    except Exception as error:  # a lost visitor is what this looks for
        failures.append(f"{type(error).__name__}: {error}")


async def watch(pid, end, samples):
    """Note the memory of the server every few seconds."""
    while time.monotonic() < end:
        samples.extend([megabytes(pid)] if pid else [])
        await asyncio.sleep(5)


def megabytes(pid):
    """Return the resident memory of a process (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024


async def load(url, pid, request):
    """Return what came after the warm-up: waits, failures, samples of the memory, processor seconds."""
    contents = list(pictures(8, tuple(request.size)))
    waits, failures, samples, work = [], [], [], []
    warm = time.monotonic() + request.warm_up
    end = warm + request.seconds
    visits = [
        visit(url, contents[number % 8 :] + contents[: number % 8], request.every, end, waits, failures)
        for number in range(request.sessions)
    ]

    async def watch_later():
        await asyncio.sleep(request.warm_up)
        work.append(processor_seconds(pid))
        await watch(pid, end, samples)
        work.append(processor_seconds(pid))

    await asyncio.gather(*visits, watch_later())
    return [taken for begin, taken in waits if begin >= warm], failures, samples, work[1] - work[0]


def processor_seconds(pid):
    """Return the seconds of processor cores that a process has used (Linux)."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server(words):
    """Start the app on a free port; give its address and process number."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "fer.app_cli", "--no-browser", "--port", str(port), *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    try:
        url = f"http://localhost:{port}"
        _wait(url, process)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _wait(url, process):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start: try fer-app with the same options")


def report(waits, failures, samples, work):
    """Print what was measured."""
    print(f"uploads      {len(waits)}, errors {len(failures)}")
    for failure in failures[:5]:
        print(f"             {failure}")
    if len(waits) > 1:
        shares = statistics.quantiles(waits, n=100)
        print(f"wait         p50 {shares[49]:.2f} s, p95 {shares[94]:.2f} s, longest {max(waits):.2f} s")
    if work and waits:
        print(f"processor    {1000 * work / len(waits):.0f} ms of a core for each upload")
    if samples:
        change = 100 * (samples[-1] / samples[0] - 1)
        ends = f"{samples[0]:.0f} MB at the start, {samples[-1]:.0f} MB at the end ({change:+.1f} %)"
        print(f"memory       {ends}, most {max(samples):.0f} MB")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="of a server that runs (default: start one)")
    parser.add_argument("--pid", type=int, help="its process, to watch its memory")
    parser.add_argument("--sessions", type=int, default=20, help="visitors at once (default: 20)")
    parser.add_argument("--every", type=float, default=5, help="seconds from upload to upload (default: 5)")
    parser.add_argument("--seconds", type=float, default=180, help="that are measured (default: 180)")
    parser.add_argument("--warm-up", type=float, default=20, help="seconds before them (default: 20)")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(1280, 960), metavar=("W", "H"), help="of the pictures"
    )
    parser.add_argument("--detector", default="auto", help="of a server that is started")
    request = parser.parse_args()
    if request.url:
        found = asyncio.run(load(request.url, request.pid, request))
    else:
        with server(["--detector", request.detector]) as (url, pid):
            found = asyncio.run(load(url, pid, request))
    report(*found)
    sys.exit(1 if found[1] else 0)


if __name__ == "__main__":
    main()

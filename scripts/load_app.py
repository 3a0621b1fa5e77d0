"""Load test of the app: many visitors send images at once; reports waiting times and memory.

uv run python scripts/load_app.py                                      # starts its own server
uv run python scripts/load_app.py --url http://localhost:8501 --pid 4711

Each visitor uses the protocol of a browser, without one, and sends synthetic faces. A waiting time is
measured from the upload to the complete page with the prediction. Exits with status 1 if an upload failed.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLsRequest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect

from fer.data.synthetic import face_at, render_face

# Seconds to wait for a page.
TIMEOUT = 60
# Appears only on a page with a prediction.
PREDICTION = "Probability of each emotion"


class Visitor:
    """A browser tab on the images page, without the browser.

    Attributes:
        texts: Alerts, Markdown and HTML of the page's last run.
    """

    def __init__(self, url, page=""):
        self.url, self.page, self.texts = url, page, []
        self._uploader = self._session = self._last = None

    async def __aenter__(self):
        """Open the page."""
        self._cookie, self._token = await asyncio.to_thread(self._xsrf)
        self._socket = await connect(
            self.url.replace("http", "ws", 1) + "/_stcore/stream",
            subprotocols=["streamlit", self._token], origin=self.url, max_size=None,
            additional_headers={"Cookie": self._cookie},
        )  # fmt: skip
        await self._run([])
        return self

    async def __aexit__(self, *_):
        """Close the page."""
        await self._socket.close()

    async def upload(self, name, content):
        """Upload a file that replaces the previous one; return the seconds until the page is complete."""
        start = time.perf_counter()
        urls = await self._request_upload_url(name)
        await asyncio.to_thread(self._put, urls.upload_url, name, content)
        await self._run([(name, len(content), urls)])
        seconds = time.perf_counter() - start
        if self._last:
            await asyncio.to_thread(self._request, self._last, "DELETE")
        self._last = urls.delete_url
        return seconds

    def _xsrf(self):
        with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=TIMEOUT) as response:
            cookies = response.headers.get_all("Set-Cookie") or []
        pairs = [cookie.split(";")[0] for cookie in cookies]
        token = next(pair.split("=", 1)[1] for pair in pairs if pair.startswith("_streamlit_xsrf"))
        return "; ".join(pairs), token.strip('"')

    async def _request_upload_url(self, name):
        request = FileURLsRequest(request_id=uuid.uuid4().hex, file_names=[name], session_id=self._session)
        await self._socket.send(BackMsg(file_urls_request=request).SerializeToString())
        while True:
            message = await self._receive()
            if message.WhichOneof("type") == "file_urls_response":
                return message.file_urls_response.file_urls[0]

    def _put(self, path, name, content):
        boundary = uuid.uuid4().hex
        disposition = f'form-data; name="file"; filename={json.dumps(name)}'
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n"
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        self._request(path, "PUT", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def _request(self, path, method, body=None, headers=None):
        headers = {"Cookie": self._cookie, "X-Xsrftoken": self._token} | (headers or {})
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        urllib.request.urlopen(request, timeout=TIMEOUT).close()

    async def _run(self, files):
        """Run the page with these files and wait until it has finished."""
        message = BackMsg()
        message.rerun_script.page_name = self.page
        if self._uploader:
            state = message.rerun_script.widget_states.widgets.add(id=self._uploader)
            for name, size, urls in files:
                info = state.file_uploader_state_value.uploaded_file_info.add(
                    file_id=urls.file_id, name=name, size=size
                )
                info.file_urls.CopyFrom(urls)
        await self._socket.send(message.SerializeToString())
        self.texts = []
        while not self._handle(await self._receive()):
            pass

    async def _receive(self):
        async with asyncio.timeout(TIMEOUT):
            return ForwardMsg.FromString(await self._socket.recv())

    def _handle(self, message):
        """Store the session ID, uploader ID and texts of a message; return whether the run has finished."""
        if message.WhichOneof("type") == "new_session":
            self._session = message.new_session.initialize.session_id
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "file_uploader":
            self._uploader = self._uploader or element.file_uploader.id
        elif kind in ("alert", "markdown", "html"):
            self.texts.append(getattr(element, kind).body)
        return message.WhichOneof("type") == "script_finished"


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

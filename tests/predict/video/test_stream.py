"""Videos from the network: files by http://, live streams, and addresses that do not answer."""

import functools
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest
from video_files import SquarePredictor, render_frame, write_video

from fer.core.errors import FerError
from fer.predict.sources import is_video_source
from fer.predict.video import stream
from fer.predict.video.reader import VideoFile
from fer.predict.video.run import run_video
from fer.predict.video.stream import Stream, is_stream_address


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Print nothing."""


@pytest.fixture
def serve():
    """Return a function that starts a server with a handler and returns its address."""
    servers = []

    def start(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def address(serve, tmp_path):
    write_video(tmp_path / "a.mp4", [render_frame(i) for i in range(20)])
    return serve(functools.partial(Quiet, directory=tmp_path)) + "/a.mp4"


@pytest.fixture
def short_timeouts(monkeypatch):
    monkeypatch.setattr(stream, "_OPEN_SECONDS", 1.0)
    monkeypatch.setattr(stream, "_READ_SECONDS", 1.0)


def test_a_file_has_the_frames_of_the_local_one(address, tmp_path):
    video, local = Stream(address), VideoFile(tmp_path / "a.mp4")
    assert (video.live, video.frame_count, video.fps) == (False, 20, 25.0)
    frames, expected = list(video), list(local)
    assert [frame.index for frame in frames] == list(range(20))
    seconds, local_seconds = ([frame.seconds for frame in some] for some in (frames, expected))
    np.testing.assert_allclose(seconds, local_seconds, atol=1e-3)
    for frame, one in zip(frames, expected, strict=True):
        assert np.abs(frame.image.astype(int) - one.image).mean() < 2
    video.close()


def test_run_video(address, tmp_path):
    summary = run_video(address, SquarePredictor(), csv=tmp_path / "a.csv", show=False)
    local = run_video(tmp_path / "a.mp4", SquarePredictor(), csv=tmp_path / "b.csv", show=False)
    assert summary.frames == local.frames == 20
    assert len(summary.faces) == len(local.faces) == 2


def test_a_stream_without_an_end_is_live(serve):
    class Live(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            with av.open(self.wfile, "w", format="mpegts") as container:
                output = container.add_stream("mpeg2video", rate=25)
                output.width, output.height, output.pix_fmt = 160, 120, "yuv420p"
                for index in range(100):
                    container.mux(output.encode(av.VideoFrame.from_ndarray(render_frame(index % 20))))
                container.mux(output.encode())

        def log_message(self, *arguments):
            """Print nothing."""

    video = Stream(serve(Live) + "/live")
    assert video.live
    assert video.frame_count is None
    frames = list(video)
    assert len(frames) >= 95
    seconds = [frame.seconds for frame in frames]
    assert seconds == sorted(set(seconds))


def test_a_connection_that_breaks_is_a_warning(serve, tmp_path):
    path = write_video(tmp_path / "a.avi", [render_frame(i % 20) for i in range(200)], codec="MJPG")
    content = path.read_bytes()

    class Breaks(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])

        def log_message(self, *arguments):
            """Print nothing."""

    video = Stream(serve(Breaks) + "/a.avi")
    frames = list(video)
    assert 80 < len(frames) < 120
    message = video.truncation_message()
    assert message is not None
    assert f"the stream stopped after {len(frames)} frames" in message


def test_a_connection_that_stalls_is_a_warning(serve, tmp_path, short_timeouts):
    path = write_video(tmp_path / "a.avi", [render_frame(i % 20) for i in range(200)], codec="MJPG")
    content = path.read_bytes()

    class Stalls(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            time.sleep(6)

        def log_message(self, *arguments):
            """Print nothing."""

    video = Stream(serve(Stalls) + "/a.avi")
    start = time.monotonic()
    assert 80 < len(list(video)) < 120
    assert time.monotonic() - start < 5
    assert "(no data for 1 s)" in (video.truncation_message() or "")


def test_a_server_that_does_not_answer(short_timeouts):
    with socket.create_server(("127.0.0.1", 0)) as server:
        start = time.monotonic()
        with pytest.raises(FerError, match=r"rtsp://127.*/cam: expected .* got no answer in 1 s"):
            Stream(f"rtsp://user:secret@127.0.0.1:{server.getsockname()[1]}/cam")
        assert time.monotonic() - start < 5


WRONG = {
    "http://127.0.0.1:9/a.mp4": "Connection refused",
    "rtsp://127.0.0.1:9/cam": "Connection refused",
    "http://127.0.0.1:{port}/absent.mp4": "404|not found|Not Found",
    "http://127.0.0.1:{port}/page.html": "Invalid data",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_addresses(wrong, serve, tmp_path):
    (tmp_path / "page.html").write_text("<html>no video</html>" * 100)
    port = serve(functools.partial(Quiet, directory=tmp_path)).rpartition(":")[2]
    with pytest.raises(FerError, match=WRONG[wrong]) as error:
        Stream(wrong.format(port=port))
    assert len(str(error.value).splitlines()) == 1


def test_passwords_are_not_shown():
    with pytest.raises(FerError) as error:
        Stream("rtsp://user:secret@127.0.0.1:9/cam?token=abc")
    assert str(error.value).startswith("rtsp://127.0.0.1:9/cam: ")
    assert "secret" not in str(error.value)
    assert "abc" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("rtsp://camera/1", True),
        ("HTTP://host/a.mp4?x=1", True),
        ("https://host/a.jpg", False),
        ("file:///etc/passwd", False),
        ("s3://bucket/a.mp4", False),
        ("a.mp4", False),
        ("http://[", False),
    ],
)
def test_addresses(source, expected):
    assert is_stream_address(source) == expected
    assert is_video_source(source) == expected


def test_a_playlist_cannot_name_local_files(serve, tmp_path):
    secret = write_video(tmp_path / "secret.mp4", [render_frame(0)] * 5)
    (tmp_path / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(FerError):
        list(Stream(serve(functools.partial(Quiet, directory=tmp_path)) + "/list.m3u8"))


def test_without_pyav_the_package_is_named(address):
    code = (
        "import sys; sys.modules['av'] = None\n"
        "from fer.predict.video.stream import Stream\n"
        f"Stream({address!r})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "FerError: Videos from the network need the package av (PyAV)" in result.stderr

"""WebRTC frames, and STUN and TURN servers."""

import asyncio
from contextlib import nullcontext

import av
import numpy as np
import pytest
from video_files import SquarePredictor, render_frame

pytest.importorskip("streamlit_webrtc", reason="the webcam page needs the extra app")
from aiortc import RTCConfiguration, RTCIceServer

from fer.app.camera import CameraProcessor, ice_servers
from fer.app.live import LiveSession


def frames(count):
    return [av.VideoFrame.from_ndarray(render_frame(index), format="rgb24") for index in range(count)]


def test_only_the_newest_queued_frame_is_processed():
    predictor = SquarePredictor()
    live = LiveSession(predictor, nullcontext)
    live.mirror = False
    shown = asyncio.run(CameraProcessor(live).recv_queued(frames(5)))
    assert (len(shown), predictor.calls) == (1, 1)
    assert (live.state().processed, live.state().dropped) == (1, 4)
    left = min(prediction.face.box[0] for _, prediction in live.state().faces)
    # Position of the happy square in the fifth frame.
    assert left == pytest.approx(10 + 3 * 4, abs=2)
    assert (shown[0].width, shown[0].height) == (160, 120)


class FailingPredictor(SquarePredictor):
    def detect(self, image):
        raise MemoryError("out of memory")


def test_a_frame_that_fails_is_shown_unchanged(caplog):
    processor = CameraProcessor(LiveSession(FailingPredictor(), nullcontext))
    originals = frames(2)
    assert [processor.recv(frame) for frame in originals] == originals
    assert processor.failed
    # Logged once, not for every frame.
    assert len(caplog.records) == 1


def test_ice_servers_are_accepted_by_aiortc():
    servers = ice_servers(["stun:stun.example:3478", "turn:ann:p%40ss:word@turn.example:443?transport=tcp"])
    assert servers == [
        {"urls": ["stun:stun.example:3478"]},
        {"urls": ["turn:turn.example:443?transport=tcp"], "username": "ann", "credential": "p@ss:word"},
    ]
    from aiortc.rtcicetransport import connection_kwargs

    kwargs = connection_kwargs(RTCConfiguration([RTCIceServer(**server) for server in servers]).iceServers)
    assert kwargs["turn_server"] == ("turn.example", 443)
    assert kwargs["turn_password"] == "p@ss:word"
    assert np.array_equal(kwargs["stun_server"], ("stun.example", 3478))
    assert ice_servers([]) == []


def test_a_camera_that_starts_begins_a_new_summary():
    live = LiveSession(SquarePredictor(), nullcontext)
    live.process(render_frame(0), 0.0)
    CameraProcessor(live)
    assert live.summary().frames == 0

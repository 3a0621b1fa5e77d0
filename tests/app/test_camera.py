import asyncio
from contextlib import nullcontext

import av
import numpy as np
import pytest
from films import SquareFinder, scene

pytest.importorskip("streamlit_webrtc", reason="the webcam page needs the extra app")
from aiortc import RTCConfiguration, RTCIceServer

from fer.app.camera import CameraProcessor, ice_servers
from fer.app.live import LiveSession


def frames(count):
    return [av.VideoFrame.from_ndarray(scene(index), format="rgb24") for index in range(count)]


def test_only_the_newest_of_waiting_frames_is_looked_at():
    finder = SquareFinder()
    live = LiveSession(finder, nullcontext)
    live.mirror = False
    shown = asyncio.run(CameraProcessor(live).recv_queued(frames(5)))
    assert (len(shown), finder.calls) == (1, 1)
    assert (live.snapshot().frames, live.snapshot().dropped) == (1, 4)
    left = min(answer.face.box[0] for _, answer in live.snapshot().faces)
    assert left == pytest.approx(10 + 3 * 4, abs=2)  # where the happy square is in the fifth scene
    assert (shown[0].width, shown[0].height) == (160, 120)


class Broken(SquareFinder):
    def find(self, picture):
        raise MemoryError("no room")


def test_a_frame_that_fails_is_shown_as_it_came(caplog):
    processor = CameraProcessor(LiveSession(Broken(), nullcontext))
    before = frames(2)
    assert [processor.recv(frame) for frame in before] == before
    assert processor.failed
    assert len(caplog.records) == 1  # not one for every frame


def test_ice_servers_are_taken_by_the_library():
    found = ice_servers(["stun:stun.example:3478", "turn:ann:p%40ss:word@turn.example:443?transport=tcp"])
    assert found == [
        {"urls": ["stun:stun.example:3478"]},
        {"urls": ["turn:turn.example:443?transport=tcp"], "username": "ann", "credential": "p@ss:word"},
    ]
    from aiortc.rtcicetransport import connection_kwargs

    kwargs = connection_kwargs(RTCConfiguration([RTCIceServer(**server) for server in found]).iceServers)
    assert kwargs["turn_server"] == ("turn.example", 443)
    assert kwargs["turn_password"] == "p@ss:word"
    assert np.array_equal(kwargs["stun_server"], ("stun.example", 3478))
    assert ice_servers([]) == []

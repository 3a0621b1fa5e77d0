"""Disconnected sessions are deleted after a delay, unless the browser reconnects."""

import asyncio
from types import SimpleNamespace

import pytest
from streamlit.runtime.session_manager import SessionInfo

from fer.app.server import DisconnectedSessions


class Session:
    """The part of Streamlit's session that the store uses."""

    def __init__(self):
        self.id, self.is_shut_down, self.session_state = "ann", False, {"results": ["a face"]}

    def shutdown(self):
        self.is_shut_down = True


@pytest.fixture
def disconnected():
    return SimpleNamespace(store=DisconnectedSessions(ttl_seconds=0.05), session=Session())


def disconnect(disconnected):
    disconnected.store.save(SessionInfo(client=None, session=disconnected.session, script_run_count=1))


def test_a_closed_tab_is_deleted(disconnected):
    async def visit():
        disconnect(disconnected)
        assert disconnected.store.get("ann").session is disconnected.session
        assert len(disconnected.store.list()) == 1
        await asyncio.sleep(0.2)

    asyncio.run(visit())
    assert disconnected.store.list() == []
    assert disconnected.session.is_shut_down
    assert disconnected.session.session_state == {}


def test_a_reconnected_session_is_kept(disconnected):
    async def visit():
        disconnect(disconnected)
        (first,) = disconnected.store.list()
        # The browser reconnects and disconnects again: the first timer must not delete the session.
        disconnected.store.delete("ann")
        disconnect(disconnected)
        disconnected.store._expire(first)
        assert disconnected.store.get("ann") is not None

    asyncio.run(visit())
    assert not disconnected.session.is_shut_down
    assert disconnected.session.session_state == {"results": ["a face"]}

"""What a visitor left is dropped after a while, unless the browser comes back."""

import asyncio
from types import SimpleNamespace

import pytest
from streamlit.runtime.session_manager import SessionInfo

from fer.app.left_sessions import LeftSessions


class Session:
    """As much of Streamlit's session as is asked for."""

    def __init__(self):
        self.id, self.is_shut, self.session_state = "ann", False, {"judged": ["a face"]}

    def shutdown(self):
        self.is_shut = True


@pytest.fixture
def left():
    return SimpleNamespace(store=LeftSessions(ttl_seconds=0.05), session=Session())


def leave(left):
    left.store.save(SessionInfo(client=None, session=left.session, script_run_count=1))


def test_a_closed_tab_leaves_nothing(left):
    async def visit():
        leave(left)
        assert left.store.get("ann").session is left.session
        assert len(left.store.list()) == 1
        await asyncio.sleep(0.2)

    asyncio.run(visit())
    assert left.store.list() == []
    assert left.session.is_shut
    assert left.session.session_state == {}


def test_who_comes_back_in_time_finds_all_there(left):
    async def visit():
        leave(left)
        (first,) = left.store.list()
        left.store.delete("ann")  # the browser is back
        leave(left)  # and away again: the first goodbye counts no more
        left.store._drop(first)
        assert left.store.get("ann") is not None

    asyncio.run(visit())
    assert not left.session.is_shut
    assert left.session.session_state == {"judged": ["a face"]}

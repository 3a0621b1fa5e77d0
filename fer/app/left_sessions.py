"""What a visitor left behind: kept while the network may only have blinked, and then dropped."""

import asyncio
import gc

from streamlit.runtime.session_manager import SessionInfo, SessionStorage

LEFT_SECONDS = 30  # a browser that comes back within them finds its pictures still there


class LeftSessions(SessionStorage):
    """Sessions whose browser is gone. Streamlit's own keeps them until somebody else leaves.

    Args:
        ttl_seconds: For how long a session is kept.
    """

    def __init__(self, ttl_seconds: float) -> None:
        self._seconds = ttl_seconds
        self._left: dict[str, SessionInfo] = {}

    def get(self, session_id: str) -> SessionInfo | None:
        """Return a session that is still there."""
        return self._left.get(session_id)

    def save(self, session_info: SessionInfo) -> None:
        """Keep a session for a while; to be called within the server's event loop."""
        self._left[session_info.session.id] = session_info
        asyncio.get_running_loop().call_later(self._seconds, self._drop, session_info)

    def delete(self, session_id: str) -> None:
        """Let go of a session, as its browser is back."""
        self._left.pop(session_id, None)

    def list(self) -> list[SessionInfo]:
        """Return all that are still there."""
        return [*self._left.values()]

    def _drop(self, left: SessionInfo) -> None:
        session = left.session
        if self._left.get(session.id) is left:  # else its browser came back meanwhile
            self.delete(session.id)
            session.shutdown()  # with its uploads
            session.session_state.clear()  # with its answers
            gc.collect()

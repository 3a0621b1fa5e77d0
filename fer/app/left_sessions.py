"""Session store that deletes the sessions of closed tabs after a delay."""

import asyncio
import gc

from streamlit.runtime.session_manager import SessionInfo, SessionStorage

# A browser that reconnects within this time finds its session unchanged.
SESSION_TTL_SECONDS = 30


class DisconnectedSessions(SessionStorage):
    """Sessions whose browser is disconnected, each deleted after a delay.

    Streamlit's own storage deletes them only when another session disconnects.

    Args:
        ttl_seconds: Seconds until a session is deleted.
    """

    def __init__(self, ttl_seconds: float) -> None:
        self._ttl_seconds = ttl_seconds
        self._sessions: dict[str, SessionInfo] = {}

    def get(self, session_id: str) -> SessionInfo | None:
        """Return a session, or None if it was deleted."""
        return self._sessions.get(session_id)

    def save(self, session_info: SessionInfo) -> None:
        """Store a session and schedule its deletion; must be called within the server's event loop."""
        self._sessions[session_info.session.id] = session_info
        asyncio.get_running_loop().call_later(self._ttl_seconds, self._expire, session_info)

    def delete(self, session_id: str) -> None:
        """Remove a session from the store, as its browser has reconnected."""
        self._sessions.pop(session_id, None)

    def list(self) -> list[SessionInfo]:
        """Return the stored sessions."""
        return [*self._sessions.values()]

    def _expire(self, info: SessionInfo) -> None:
        session = info.session
        # Another entry means that the browser reconnected and disconnected again: that one has its own timer.
        if self._sessions.get(session.id) is info:
            self.delete(session.id)
            # Frees the uploads, then the predictions.
            session.shutdown()
            session.session_state.clear()
            gc.collect()

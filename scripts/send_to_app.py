"""Send pictures to the app as a browser does, and print what the page says of each.

uv run python scripts/send_to_app.py http://localhost:8501 photo.jpg ...

Without a browser: a web socket for the page, HTTP for the file.
"""

import argparse
import asyncio
import json
import time
import urllib.request
import uuid
from pathlib import Path

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLsRequest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect

PATIENCE = 60  # seconds that a visitor waits for a page


class Visitor:
    """A browser's tab on the page of uploads, without the browser.

    Attributes:
        texts: What the last run of the page showed: its alerts, Markdown and HTML.
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
        """Close it."""
        await self._socket.close()

    async def upload(self, name, content):
        """Send a file in the place of the one before; return the seconds until the page is complete."""
        start = time.perf_counter()
        urls = await self._ask_for_place(name)
        await asyncio.to_thread(self._put, urls.upload_url, name, content)
        await self._run([(name, len(content), urls)])
        taken = time.perf_counter() - start
        if self._last:
            await asyncio.to_thread(self._request, self._last, "DELETE")
        self._last = urls.delete_url
        return taken

    def _xsrf(self):
        with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=PATIENCE) as answer:
            cookies = answer.headers.get_all("Set-Cookie") or []
        pairs = [cookie.split(";")[0] for cookie in cookies]
        token = next(pair.split("=", 1)[1] for pair in pairs if pair.startswith("_streamlit_xsrf"))
        return "; ".join(pairs), token.strip('"')

    async def _ask_for_place(self, name):
        wanted = FileURLsRequest(request_id=uuid.uuid4().hex, file_names=[name], session_id=self._session)
        await self._socket.send(BackMsg(file_urls_request=wanted).SerializeToString())
        while True:
            message = await self._receive()
            if message.WhichOneof("type") == "file_urls_response":
                return message.file_urls_response.file_urls[0]

    def _put(self, place, name, content):
        border = uuid.uuid4().hex
        head = (
            f'--{border}\r\nContent-Disposition: form-data; name="file"; filename={json.dumps(name)}\r\n\r\n'
        )
        body = head.encode() + content + f"\r\n--{border}--\r\n".encode()
        self._request(place, "PUT", body, {"Content-Type": f"multipart/form-data; boundary={border}"})

    def _request(self, place, method, body=None, headers=None):
        headers = {"Cookie": self._cookie, "X-Xsrftoken": self._token} | (headers or {})
        call = urllib.request.Request(self.url + place, body, headers, method=method)
        urllib.request.urlopen(call, timeout=PATIENCE).close()

    async def _run(self, files):
        """Let the page run with these files, to its end."""
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
        while not self._note(await self._receive()):
            pass

    async def _receive(self):
        async with asyncio.timeout(PATIENCE):
            return ForwardMsg.FromString(await self._socket.recv())

    def _note(self, message):
        """Keep what matters of a message; return whether it is the last one of a run."""
        if message.WhichOneof("type") == "new_session":
            self._session = message.new_session.initialize.session_id
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "file_uploader":
            self._uploader = self._uploader or element.file_uploader.id
        elif kind in ("alert", "markdown", "html"):
            self.texts.append(getattr(element, kind).body)
        return message.WhichOneof("type") == "script_finished"


async def send(url, files):
    """Send files one after the other; print the seconds of each, and the texts of the page."""
    async with Visitor(url) as visitor:
        for file in files:
            seconds = await visitor.upload(file.name, file.read_bytes())
            print(f"{file.name}: {seconds:.2f} s")
            for text in visitor.texts:
                print(f"  {text[:300]}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="of the app, http://localhost:8501")
    parser.add_argument("files", nargs="+", type=Path, help="pictures")
    request = parser.parse_args()
    asyncio.run(send(request.url.rstrip("/"), request.files))


if __name__ == "__main__":
    main()

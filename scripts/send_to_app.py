"""Upload images to the app as a browser does, and print the texts of the page after each.

uv run python scripts/send_to_app.py http://localhost:8501 photo.jpg ...

No browser is needed: the page is received over a web socket, the file is sent over HTTP.
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

# Seconds to wait for a page.
TIMEOUT = 60


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


async def send(url, files):
    """Upload files one after another; print the seconds and the texts of the page for each."""
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
    parser.add_argument("url", help="URL of the app, e.g. http://localhost:8501")
    parser.add_argument("files", nargs="+", type=Path, help="images")
    options = parser.parse_args()
    asyncio.run(send(options.url.rstrip("/"), options.files))


if __name__ == "__main__":
    main()

"""A small server that speaks the endpoints of the Hugging Face Hub that pushing and loading a model use."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
from huggingface_hub.utils import close_session

TOKEN = "hf_test"
_RESOLVE = re.compile(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")
_API = re.compile(r"/api/models/([\w.-]+/[\w.-]+)(?:/(\w+)/([^/?]+))?")


class Hub:
    """The state of the server.

    Attributes:
        commits: Repository -> commit -> path -> content.
        refs: Repository -> branch or tag -> commit.
        private: Repositories that need `TOKEN`.
        forbidden: Repositories that `TOKEN` may not use.
        broken: Parts of addresses whose answer stops in the middle.
        stalled: Parts of addresses whose answer waits in the middle until `released`.
        requests: Method and path of each request.
    """

    def __init__(self):
        self.commits, self.refs, self.blobs = {}, {}, {}
        self.private, self.forbidden, self.broken, self.stalled = set(), set(), set(), set()
        self.requests, self.released = [], threading.Event()

    def commit(self, repo, files, ref="main"):
        """Add a commit by hand; return its id."""
        number = str(sum(map(len, self.commits.values()))).encode()
        name = hashlib.sha1(repo.encode() + ref.encode() + number).hexdigest()
        self.commits.setdefault(repo, {})[name] = files
        self.refs.setdefault(repo, {})[ref] = name
        return name

    def files(self, repo, ref="main"):
        return self.commits[repo][self.refs[repo][ref]]

    def find(self, repo, revision):
        return self.refs[repo].get(revision, revision if revision in self.commits[repo] else None)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self):
        return self.server.hub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._read()

    def do_GET(self):
        self._read()

    def _read(self):
        self.hub.requests.append(f"{self.command} {self.path}")
        if match := _RESOLVE.match(self.path):
            repo, revision, path = match.groups()
        elif match := _API.match(self.path):
            repo, revision, path = match[1], match[3] or "main", None
        else:
            return self._answer(404)
        if self._refused(repo):
            return None
        commit = self.hub.find(repo, revision)
        if commit is None:
            return self._answer(404, {}, {"X-Error-Code": "RevisionNotFound"})
        files = self.hub.commits[repo][commit]
        if path is None:
            siblings = [{"rfilename": name} for name in files]
            content = {"id": repo, "sha": commit, "private": repo in self.hub.private, "siblings": siblings}
            return self._answer(200, content)
        if path not in files:
            return self._answer(404, {}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        etag = hashlib.sha256(files[path]).hexdigest()
        return self._answer(200, files[path], {"X-Repo-Commit": commit, "ETag": f'"{etag}"'})

    def do_PUT(self):
        self.hub.requests.append(f"{self.command} {self.path}")
        if self._breaks():
            self.close_connection = True
            return self.connection.close()
        self.hub.blobs[self.path.rpartition("/")[2]] = self._body()
        return self._answer(200)

    def do_POST(self):
        self.hub.requests.append(f"{self.command} {self.path}")
        body = self._body()
        if self._breaks():
            self.close_connection = True
            return self.connection.close()
        if self.path == "/api/validate-yaml":
            return self._answer(200, {"warnings": [], "errors": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"error": "Invalid credentials"})
        if self.path == "/api/repos/create":
            return self._create(json.loads(body))
        repo = re.search(r"/([\w.-]+/[\w-]+?)(?:\.git)?/(?:preupload|info|commit)", self.path)[1]
        if self._refused(repo):
            return None
        if "/preupload/" in self.path:
            modes = [
                {"path": one["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if one["path"].endswith((".onnx", ".safetensors")) else "regular"}
                for one in json.loads(body)["files"]
            ]  # fmt: skip
            return self._answer(200, {"files": modes})
        if self.path.endswith("/objects/batch"):
            host = f"http://{self.headers['Host']}"
            objects = [
                one | {"actions": {"upload": {"href": f"{host}/lfs/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            return self._answer(200, {"transfer": "basic", "objects": objects})
        return self._commit(repo, [json.loads(line) for line in body.splitlines()])

    def _create(self, request):
        repo = f"{request['organization']}/{request['name']}"
        if repo in self.hub.forbidden:
            return self._answer(403, {"error": "You may not create a model here"})
        if repo in self.hub.commits:
            return self._answer(409, {"url": repo})
        if request.get("visibility") == "private" or request.get("private"):
            self.hub.private.add(repo)
        self.hub.commit(repo, {".gitattributes": b""})
        return self._answer(200, {"url": f"http://{self.headers['Host']}/{repo}"})

    def _commit(self, repo, lines):
        parent = lines[0]["value"].get("parentCommit")
        if parent != self.hub.refs[repo]["main"]:
            return self._answer(412, {"error": "the branch has moved"})
        files = dict(self.hub.files(repo))
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            else:
                del files[value["path"]]
        commit = self.hub.commit(repo, files)
        url = f"http://{self.headers['Host']}/{repo}/commit/{commit}"
        return self._answer(200, {"commitOid": commit, "commitUrl": url, "hookOutput": ""})

    def _refused(self, repo):
        """Answer that a repository cannot be used; return whether that is so."""
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repo in self.hub.forbidden and known:
            self._answer(403, {"error": "Forbidden"})
        elif repo not in self.hub.commits or (repo in self.hub.private and not known):
            # As the Hub does: it does not say whether there is a private model.
            code = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            self._answer(404 if known else 401, {}, code)
        else:
            return False
        return True

    def _breaks(self):
        return any(part in self.path for part in self.hub.broken)

    def _body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status, content=b"", headers=()):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        stalls = any(part in self.path for part in self.hub.stalled)
        if (stalls or self._breaks()) and self.command == "GET":
            self.wfile.write(body[: len(body) // 2])
            if stalls:
                self.hub.released.wait(60)
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(body)


@contextmanager
def serving():
    """Yield the state and the address of a running server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub, server.daemon_threads = Hub(), True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server.hub, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.hub.released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Yield the state of a server that huggingface-hub uses, with an empty cache and a login."""
    constants = huggingface_hub.constants
    with serving() as (state, address):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "fer_cache"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf_cache"))
        # It is set for any other server, which lacks Xet, a storage of the Hub with a protocol of its own.
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        state.address = address
        yield state
        close_session()

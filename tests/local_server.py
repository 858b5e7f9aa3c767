"""A local HTTP server that can misbehave, for tests of downloads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What the server answers for one path."""

    content: bytes
    status: int = 200
    failures_first: int = 0
    announced_length: int | None = None
    stall: threading.Event | None = None


@dataclass
class LocalServer:
    """A running server."""

    address: str
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def serve(self, path: str, content: bytes, **behaviour: object) -> str:
        """Put a page and give its address."""
        self.pages[path] = Page(content, **behaviour)
        return f"{self.address}{path}"


@contextmanager
def local_server() -> Iterator[LocalServer]:
    """Serve on a free port of this machine until the block ends."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                server.requests.append(self.path)
                page = server.pages.get(self.path, Page(b"not here", status=404))
                failing = page.failures_first > 0
                page.failures_first -= 1
            status = 503 if failing else page.status
            self.send_response(status)
            length = page.announced_length
            self.send_header("Content-Length", str(len(page.content) if length is None else length))
            self.end_headers()
            if page.stall is not None:
                self.wfile.write(page.content[: len(page.content) // 2])
                self.wfile.flush()
                page.stall.wait(20)
                return
            self.wfile.write(page.content)

        def log_message(self, *args: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    server = LocalServer(f"http://127.0.0.1:{listening.server_port}")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join(5)

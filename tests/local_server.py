"""A server of files on this machine, for tests of downloads."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LocalServer:
    """Serves `files`, bytes by path, and counts the times each was sent.

    A path in `short` gets one byte less than it was promised, one in `silent` no answer.
    """

    def __init__(self):
        self.files, self.short, self.silent, self.sent = {}, set(), set(), []
        self._end = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self._answer(with_body=False)

            def do_GET(self):
                self._answer(with_body=True)

            def _answer(self, with_body):
                if self.path in outer.silent:
                    outer._end.wait(60)
                    return
                content = outer.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                if with_body and content is not None:
                    outer.sent.append(self.path)
                    self.wfile.write(content[:-1] if self.path in outer.short else content)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

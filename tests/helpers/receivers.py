"""Those who are told, on this machine: a webhook and a mail server that keep what they get."""

import socketserver
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def webhook(answers=()):
    """Yields an address and what was posted there; answers one status after the other, then 200."""
    got, statuses = [], list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((dict(self.headers), body))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            """Says nothing."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}/hook?team=7", got


@contextmanager
def mail_server():
    """Yields a port and the mails that came there (RFC 5321, as far as smtplib speaks it)."""
    got = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self._say("220 here")
            for line in self.rfile:
                word = line.split(b":")[0].split()[0].upper()
                if word == b"DATA":
                    self._say("354 go on")
                    got.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                self._say("221 bye" if word == b"QUIT" else "250 ok")

        def _say(self, text):
            self.wfile.write(f"{text}\r\n".encode())

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield port, got


@contextmanager
def _serving(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Google Cloud Storage on loopback for TensorFlow's own client, which takes no other address.

It asks `https://www.googleapis.com` and `https://storage.googleapis.com`, through the proxy that
`https_proxy` names: here one that ends TLS with a certificate of its own and asks fake-gcs-server.
TFX's fileio, TensorFlow's readers, Beam, Google's client and child processes then see one bucket.
"""

import contextlib
import http.client
import http.server
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from certificates import Authority
from object_stores import GCS, object_store

_HOSTS = ("www.googleapis.com", "storage.googleapis.com", "oauth2.googleapis.com")
# Hop by hop (RFC 9110, 7.6.1), and what is made anew.
_DROPPED = {
    *("host", "connection", "accept-encoding", "authorization", "content-length", "expect"),
    "transfer-encoding",
}


@contextlib.contextmanager
def gcs_bucket(bucket: str, folder: Path) -> Iterator[str]:
    """Yields the address of a new bucket, `gs://BUCKET`, which TensorFlow sees, too."""
    authority = Authority(folder / "authority")
    identity = authority.issue("storage", kind="server", names=_HOSTS)
    with object_store(GCS, bucket) as address, pytest.MonkeyPatch.context() as patch:
        upstream = str(urlsplit(os.environ["STORAGE_EMULATOR_HOST"]).netloc)
        words = [upstream, str(identity.certificate), str(identity.key)]
        # A process of its own: some calls of TensorFlow keep Python's lock while they wait.
        proxy = subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE)
        assert proxy.stdout is not None
        port = int(proxy.stdout.readline())
        patch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        for name in ("no_proxy", "NO_PROXY"):
            patch.setenv(name, "127.0.0.1,localhost")
        for name in ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
            patch.setenv(name, str(authority.certificate))
        patch.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", "nobody")
        patch.setenv("NO_GCE_CHECK", "true")
        try:
            yield address
        finally:
            proxy.kill()
            proxy.wait()
            proxy.stdout.close()


class _Proxy(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.context, self.upstream = context, upstream


class _Tunnel(http.server.BaseHTTPRequestHandler):
    """Takes CONNECT, and then the requests inside."""

    server: _Proxy

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        # A client that goes away is none of the test's business.
        with contextlib.suppress(OSError):
            inside = self.server.context.wrap_socket(self.connection, server_side=True)
            _Forward(inside, self.client_address, self.server)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class _Forward(http.server.BaseHTTPRequestHandler):
    """Asks fake-gcs-server what TensorFlow asks Google."""

    protocol_version = "HTTP/1.1"
    server: _Proxy

    def _forward(self) -> None:
        body = self._body()
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        # The server tells downloads from its API by the host that was asked.
        upstream.putheader("Host", self.headers["Host"])
        for name, value in self.headers.items():
            if name.lower() not in _DROPPED:
                upstream.putheader(name, value)
        upstream.putheader("Content-Length", str(len(body)))
        upstream.endheaders(body)
        answer = upstream.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() == "location":
                # Where to upload to: of this proxy, as the server itself speaks no TLS.
                parts = urlsplit(value)
                value = f"https://{_HOSTS[0]}{parts.path}?{parts.query}"
            if name.lower() not in {*_DROPPED, "server", "date"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        upstream.close()

    def do_GET(self) -> None:
        self._forward()

    def do_POST(self) -> None:
        self._forward()

    def do_PUT(self) -> None:
        self._forward()

    def do_DELETE(self) -> None:
        self._forward()

    def do_HEAD(self) -> None:
        self._forward()

    def do_PATCH(self) -> None:
        self._forward()

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _main(upstream: str, certificate: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    proxy = _Proxy(context, upstream)
    print(proxy.server_address[1], flush=True)
    proxy.serve_forever()


if __name__ == "__main__":
    _main(*sys.argv[1:])

"""moto's S3 in a process of its own, which remembers its requests and can fail them.

``S3Server`` starts this file as a program; orders to it go by ``/-/`` of the same server.
"""

import base64
import json
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

_SENT_BYTES = 65_536
KEY, SECRET = "ledger-key", "ledger-secret"


class S3Server:
    """A running server with no bucket. A context manager: on leaving it ends."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, __file__], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    def connection(self, **changed: str) -> str:
        """The Airflow connection to it, as JSON."""
        extra = {"endpoint_url": self.url, "region_name": "us-east-1"}
        return json.dumps({"conn_type": "aws", "login": KEY, "password": SECRET, "extra": extra, **changed})

    def make_bucket(self, name: str) -> None:
        self._ask("PUT", f"/{name}")

    def put(self, path: str, content: bytes) -> None:
        """Write an object as some other process would."""
        self._ask("PUT", f"/{path}", content)

    def objects(self, prefix: str) -> dict[str, bytes]:
        """What is kept of the objects whose bucket and key begin so, by key; no request of S3's own counts."""
        kept = json.loads(self._ask("POST", "/-/objects", json.dumps(prefix).encode()))
        return {key: base64.b64decode(content) for key, content in kept.items()}

    def put_many(self, bucket: str, keys: Iterable[str], content: bytes) -> None:
        """Keep so many objects of one content, in one request that is none of S3's own."""
        order = {"bucket": bucket, "keys": list(keys), "content": base64.b64encode(content).decode()}
        self._ask("POST", "/-/many", json.dumps(order).encode())

    def buckets(self) -> str:
        """The XML that lists them."""
        return self._ask("GET", "/").decode()

    def fail_next(self, method: str, bucket: str, status: int, code: str, *, apply: bool = False) -> None:
        """Answer the next request of a method to a bucket so; with ``apply`` the server does first what it was asked.

        Another bucket's does not count: s3fs may still be sending parts of an upload that a former test saw fail.
        """
        order = {"method": method, "bucket": bucket, "status": status, "code": code, "apply": apply}
        self._ask("POST", "/-/faults", json.dumps(order).encode())

    def deny(self, prefix: str) -> None:
        """Refuse from now on to list, or to give away, what begins with a bucket and a prefix, as a policy does."""
        self._ask("POST", "/-/denied", json.dumps(prefix).encode())

    def ignore_conditions(self, *, ignored: bool) -> None:
        """Overwrite whatever the request says of ``If-None-Match``, as servers do that do not know it."""
        self._ask("POST", "/-/ignore", json.dumps(ignored).encode())

    def refuse_headers(self, *headers: str, status: int = 0, code: str = "", names: str = "") -> None:
        """Answer so to every put with a header that begins so, and name one of them; until called without any."""
        order = {"headers": headers, "status": status, "code": code, "names": names}
        self._ask("POST", "/-/refused", json.dumps(order).encode())

    def requests(self) -> list[str]:
        """Method and path of what was asked since this was called last."""
        return list(json.loads(self._ask("GET", "/-/requests")))

    def traffic(self) -> dict[str, int]:
        """Requests by kind, and bytes of objects in both directions, since this was called last."""
        return dict(json.loads(self._ask("GET", "/-/traffic")))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        # moto checks no signature, but takes from one which service is meant.
        signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request"}
        # Without a type urllib says that the body is a form, and moto takes it apart.
        headers = {**signed, "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(self.url + path, body, headers, method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return bytes(answer.read())


class _Recorded:
    """The WSGI application around moto's."""

    def __init__(self, moto: Callable[..., Iterable[bytes]]) -> None:
        self._moto = moto
        self._faults: list[dict[str, Any]] = []
        self._ignores = False
        self._denied: list[str] = []
        self._refused: dict[str, Any] = {"headers": []}
        self._requests: list[str] = []
        self._traffic: Counter[str] = Counter()
        self._conditional = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = list(self._answer(environ, start_response))
        if not environ["PATH_INFO"].startswith("/-/"):
            kind = "list" if "list-type" in environ.get("QUERY_STRING", "") else environ["REQUEST_METHOD"].lower()
            self._traffic[kind if kind in {"put", "get", "list"} else "other"] += 1
            self._traffic["bytes_up"] += int(environ.get("CONTENT_LENGTH") or 0)
            return self._counted(body)
        return body

    def _counted(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """Count what is sent: for a large object, s3fs leaves its first response and asks for parts."""
        for content in body:
            for start in range(0, len(content), _SENT_BYTES):
                part = content[start : start + _SENT_BYTES]
                yield part
                self._traffic["bytes_down"] += len(part)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path.startswith("/-/"):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("200 OK", [])
            return [self._tell(path, json.loads(body or b"null"))]
        self._requests.append(f"{method} {path}")
        if method in {"GET", "HEAD"} and _asked_for(environ).startswith(tuple(self._denied)):
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]
        if self._ignores:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        names = [name[5:].replace("_", "-").lower() for name in environ if name.startswith("HTTP_")]
        if method == "PUT" and any(name.startswith(tuple(self._refused["headers"])) for name in names):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(f"{self._refused['status']} Refused", [("Content-Type", "application/xml")])
            header = f"<Header>{self._refused['names']}</Header>" if self._refused["names"] else ""
            return [
                f"<Error><Code>{self._refused['code']}</Code><Message>as ordered</Message>{header}</Error>".encode()
            ]
        wanted = (method, path.split("/")[1])
        fault = next((fault for fault in self._faults if (fault["method"], fault["bucket"]) == wanted), None)
        if fault is None and "HTTP_IF_NONE_MATCH" in environ:
            # moto looks whether there is an object and then writes its own; S3 does both at once.
            with self._conditional:
                return list(self._moto(environ, start_response))
        if fault is None:
            return self._moto(environ, start_response)
        self._faults.remove(fault)
        if fault["apply"]:
            list(self._moto(environ, lambda *_: None))
        else:
            # What is left unread resets the connection, and the client may miss the answer.
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response(f"{fault['status']} Fault", [("Content-Type", "application/xml")])
        return [f"<Error><Code>{fault['code']}</Code><Message>as ordered</Message></Error>".encode()]

    def _tell(self, path: str, body: Any) -> bytes:
        if path == "/-/traffic":
            kinds = ("put", "get", "list", "other", "bytes_up", "bytes_down")
            traffic, self._traffic = self._traffic, Counter()
            return json.dumps({kind: traffic[kind] for kind in kinds}).encode()
        if path == "/-/objects":
            return json.dumps(_kept_objects(body)).encode()
        if path == "/-/many":
            _keep_objects(body["bucket"], body["keys"], base64.b64decode(body["content"]))
            return b""
        if path == "/-/faults":
            self._faults.append(body)
        elif path == "/-/ignore":
            self._ignores = body
        elif path == "/-/denied":
            self._denied.append(body)
        elif path == "/-/refused":
            self._refused = body
        requests, self._requests = self._requests, []
        return json.dumps(requests).encode()


def _kept_objects(prefix: str) -> dict[str, str]:
    """Return what moto keeps of the objects whose bucket and key begin so, in Base64."""
    from moto.core import DEFAULT_ACCOUNT_ID  # noqa: PLC0415 - only the server needs moto
    from moto.s3.models import s3_backends  # noqa: PLC0415

    name, _, key_prefix = prefix.partition("/")
    keys = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[name].keys
    return {key: base64.b64encode(keys[key].value).decode() for key in list(keys) if key.startswith(key_prefix)}


def _keep_objects(bucket: str, keys: list[str], content: bytes) -> None:
    """Let moto keep objects, as if each had been put."""
    from moto.core import DEFAULT_ACCOUNT_ID  # noqa: PLC0415 - only the server needs moto
    from moto.s3.models import s3_backends  # noqa: PLC0415

    for key in keys:
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, key, content)


def _asked_for(environ: dict[str, Any]) -> str:
    """Return bucket and key of a request, or bucket and prefix of a listing."""
    path = environ["PATH_INFO"].strip("/")
    (prefix,) = urllib.parse.parse_qs(environ.get("QUERY_STRING", "")).get("prefix", [""])
    return path if "/" in path else f"{path}/{prefix}"


def _serve() -> None:
    from moto.moto_server.werkzeug_app import create_backend_app  # noqa: PLC0415
    from werkzeug.serving import make_server  # noqa: PLC0415

    # S3 alone, because moto's dispatcher looks for the service of each request, which takes a quarter of its time.
    server = make_server("127.0.0.1", 0, _Recorded(create_backend_app("s3")), threaded=True)
    print(server.port, flush=True)  # noqa: T201 - whoever started it reads this
    server.serve_forever()


if __name__ == "__main__":
    _serve()

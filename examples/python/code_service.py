#!/usr/bin/python3
"""A web service that runs untrusted code: each request in its own machine, from a pool of ready ones.

usage: code_service.py [--listen HOST:PORT] [--machines N] [--image NAME]

    $ curl -s http://127.0.0.1:8080/run -d '{"command": "read name; echo hello $name", "stdin": "you"}'
    {"status": 0, "stdout": "hello you\\n", "stderr": "", "timed_out": false, "truncated": false, "seconds": 0.012}

A request may take so many bytes and so many seconds, there are so many at once, and a machine has no network. GET
/health says how many machines are ready. SIGTERM or Ctrl-C: no more requests are taken, those that run are ended and
answered, the machines end. It has neither TLS nor passwords: put it behind a server that has.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Union

import fireclaw

BODY_BYTES = 64 << 10
OUTPUT_BYTES = 64 << 10
#: For a command, unless the request wants less.
SECONDS = 10.0
#: For a client to send its request, and for a machine to be there.
PATIENCE = 15.0


class Refused(Exception):
    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Service(ThreadingHTTPServer):
    """Answers `machines` requests at once, each in a thread; further ones are told to try again."""

    daemon_threads = False  # server_close() waits for them.

    def __init__(self, address: tuple[str, int], pool: fireclaw.Pool, machines: int) -> None:
        super().__init__(address, Handler)
        self.pool = pool
        self.ending = fireclaw.StopSource()
        self._free = threading.BoundedSemaphore(machines)

    def process_request(self, request: Union[socket.socket, tuple[bytes, socket.socket]], client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            assert isinstance(request, socket.socket)
            with suppress(OSError):
                request.sendall(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n")
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class Handler(BaseHTTPRequestHandler):
    server: Service
    timeout = PATIENCE

    def do_GET(self) -> None:
        self._answer(lambda: {"ready": self.server.pool.ready()} if self.path == "/health" else self._unknown())

    def do_POST(self) -> None:
        self._answer(lambda: self._run(self._request()) if self.path == "/run" else self._unknown())

    def _unknown(self) -> dict[str, Any]:
        raise Refused(HTTPStatus.NOT_FOUND, "there are POST /run and GET /health")

    def _request(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "say how long the body is")
        if int(length) > BODY_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body may have {BODY_BYTES} bytes")
        try:
            request = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from error
        kinds: dict[str, tuple[type, ...]] = {"command": (str,), "stdin": (str,), "timeout": (int, float)}
        if not isinstance(request, dict) or "command" not in request:
            raise Refused(HTTPStatus.BAD_REQUEST, "the body must be an object with a command")
        for name, value in request.items():
            if isinstance(value, bool) or not isinstance(value, kinds.get(name, ())):
                raise Refused(HTTPStatus.BAD_REQUEST, f"{name!r} cannot be {value!r}")
        return request

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        stop = self.server.ending
        try:
            with self.server.pool.take(PATIENCE, stop) as vm:
                result = vm.exec(request["command"], input=request.get("stdin", ""), user="nobody", cwd="/tmp", stop=stop,
                                 timeout=min(SECONDS, max(0, request.get("timeout", SECONDS))),
                                 max_output_bytes=OUTPUT_BYTES)
        except fireclaw.TimeoutError as error:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "no machine is free") from error
        except fireclaw.CancelledError as error:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the service ends") from error
        if result.cancelled:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the service ends")
        return {"status": result.exit_code, "stdout": result.text, "stderr": result.err_text,
                "timed_out": result.timed_out, "truncated": result.truncated, "seconds": round(result.duration, 3)}

    def _answer(self, work: Callable[[], dict[str, Any]]) -> None:
        try:
            status, answer = HTTPStatus.OK, work()
        except Refused as error:
            status, answer = error.status, {"error": str(error)}
        except Exception as error:  # The service continues after any failed request.
            self.log_error("%r", error)
            status, answer = HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "it could not be run"}
        body = json.dumps(answer).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--listen", default="127.0.0.1:8080", metavar="HOST:PORT")
    parser.add_argument("--machines", type=int, default=2, metavar="N", help="requests at once, and machines kept warm")
    parser.add_argument("--image", default="busybox", metavar="NAME")
    given = parser.parse_args()
    host, _, port = given.listen.rpartition(":")
    config = fireclaw.PoolConfig(fireclaw.VMConfig(image=given.image, network="none"), size=given.machines)
    with fireclaw.Host.open().vms().pool(config) as pool:
        with Service((host, int(port)), pool, given.machines) as service:  # Its end waits for the requests that run.

            def end(number: int, frame: object) -> None:
                service.ending.request_stop()
                threading.Thread(target=service.shutdown).start()  # It waits for serve_forever(), which this interrupts.

            signal.signal(signal.SIGTERM, end)
            signal.signal(signal.SIGINT, end)
            print("listening on {}:{}".format(*service.server_address), flush=True)
            service.serve_forever(poll_interval=0.1)
    print("ended", flush=True)


if __name__ == "__main__":
    main()

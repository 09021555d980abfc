"""One HTTP request to an LLM server and its answer as a stream of bytes, bounded in time at every stage.

Blocking; used from the worker thread. Proxy settings of the environment are ignored: the server is the one that the
configuration names, or none.
"""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import ssl
import threading
import urllib.parse
import zlib
from typing import Any, Callable, Dict, Iterator, Mapping, Optional

from ..base.cancel import Cancel
from ..base.config import Llm
from ..base.text import one_line
from .refusals import Kind, Refusal, refusal_of_body

_CHUNK = 65536
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_LONGEST_ERROR_BODY = 65536
_MOST_INTERIM_ANSWERS = 100
# How long to wait for what can follow an answer that is complete.
_LINGER_S = 2.0

CUT_OFF = "the LLM server cut its answer off; try again"


class _Response(http.client.HTTPResponse):
    """Skips answers that only say that the answer will come (102, 103, ...); the base class knows 100 alone."""

    def begin(self) -> None:
        super().begin()
        skipped = 0
        while 100 < self.status < 200 and self.status != http.client.SWITCHING_PROTOCOLS:
            skipped += 1
            if skipped > _MOST_INTERIM_ANSWERS:
                raise http.client.BadStatusLine(f"answer {skipped} with status {self.status}")
            # What it has read already, it does not read again.
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()


class LlmError(Exception):
    """Why there is no answer, in one line that is fit to be shown to the user."""

    def __init__(self, message: str, status: int = 0, refusal: Refusal = Refusal(Kind.OTHER, "")) -> None:
        super().__init__(message)
        self.status = status
        # What the server meant, if it was the server that refused.
        self.refusal = refusal
        # Seconds after which the server said to ask again.
        self.retry_after: Optional[float] = None


class Exchange:
    """A POST of JSON. Enter it to send; `status` and the chunks of the body are there inside.

    Timeouts: connecting; from sending to the first byte of the answer's body; between two chunks; and the whole, which
    a timer enforces by shutting the socket, so that a server that drips bytes cannot outlast it."""

    def __init__(self, llm: Llm, path: str, payload: Mapping[str, Any], cancel: Cancel) -> None:
        self._llm = llm
        parts = urllib.parse.urlsplit(llm.url)
        self._where = parts.netloc
        self._path = parts.path.rstrip("/") + path
        self._body = json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace")
        self._cancel = cancel
        self._parts = parts
        self._connection: Optional[http.client.HTTPConnection] = None
        self._socket: Optional[socket.socket] = None
        self._response: Optional[http.client.HTTPResponse] = None
        self._late = False
        self._begun = False
        self._complete = False
        self._forget: Callable[[], None] = lambda: None
        self._timer = threading.Timer(llm.timeouts.total_s, self._too_late)
        self._timer.daemon = True
        self.status = 0

    def __enter__(self) -> Exchange:
        self._timer.start()
        self._forget = self._cancel.on_set(self._shut)
        try:
            self._send()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._forget()
        if self._response is not None:
            self._response.close()
        if self._connection is not None:
            self._connection.close()

    def _too_late(self) -> None:
        self._late = True
        self._shut()

    def _shut(self) -> None:
        sock = self._socket
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except (OSError, ValueError):
                pass

    def _send(self) -> None:
        timeouts = self._llm.timeouts
        host, port = self._parts.hostname or "", self._parts.port
        headers: Dict[str, str] = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
                                   "Connection": "close"}
        if self._llm.api_key:
            headers["Authorization"] = f"Bearer {self._llm.api_key}"
        try:
            if self._parts.scheme == "https":
                context = ssl.create_default_context(cafile=self._llm.ca_file or None)
                self._connection = http.client.HTTPSConnection(host, port, timeout=timeouts.connect_s, context=context)
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=timeouts.connect_s)
            self._connection.response_class = _Response
            self._connection.connect()
        except socket.timeout:
            self._check()
            raise LlmError(f"the LLM server {self._where} did not accept a connection within {timeouts.connect_s:g} s") \
                from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._check()
            raise LlmError(f"cannot reach the LLM server {self._where}: {_why(error)}") from error
        self._socket = self._connection.sock
        # A cancellation before the socket was known could not shut it.
        self._check()
        with self._translated():
            self._socket.settimeout(timeouts.first_token_s)
            self._connection.request("POST", self._path, self._body, headers)
            self._response = self._connection.getresponse()
        self.status = self._response.status

    def _check(self) -> None:
        self._cancel.check()
        if self._late:
            raise LlmError(f"the LLM took longer than {self._llm.timeouts.total_s:g} s; gave up")

    def _translated(self) -> _Translated:
        return _Translated(self)

    def complete(self) -> None:
        """The answer is complete: what follows is worth a moment, and no error can take it back."""
        self._complete = True

    def chunks(self) -> Iterator[bytes]:
        """The body in pieces, unpacked if a server or proxy has packed it without being asked to."""
        assert self._response is not None
        packed = (self._response.getheader("Content-Encoding") or "").strip().lower() in ("gzip", "x-gzip", "deflate")
        return _unpacked(self._raw_chunks()) if packed else self._raw_chunks()

    def _raw_chunks(self) -> Iterator[bytes]:
        response, sock = self._response, self._socket
        assert response is not None and sock is not None
        # At the end of a body that ends by itself the response has closed the socket already.
        while not response.isclosed():
            try:
                with self._translated():
                    if self._begun:
                        sock.settimeout(_LINGER_S if self._complete else self._llm.timeouts.idle_s)
                    chunk = response.read1(_CHUNK)
                self._check()
            except LlmError:
                if self._complete:
                    return
                raise
            if not chunk:
                return
            self._begun = True
            yield chunk

    def raise_for_status(self) -> None:
        """Turns any status but those of success into an LlmError with the server's own words where it has some."""
        if 200 <= self.status < 300:
            return
        assert self._response is not None
        data = b""
        try:
            for chunk in self.chunks():
                data += chunk
                if len(data) > _LONGEST_ERROR_BODY:
                    break
        except LlmError:
            pass
        refusal = refusal_of_body(self.status, data[:_LONGEST_ERROR_BODY].decode("utf-8", "replace"))
        said = f": {refusal.words}" if refusal.words else ""
        if self.status in (401, 403):
            text = f"the LLM server refused the API key (status {self.status})"
        elif self.status in (404, 405) and refusal.kind is Kind.OTHER:
            text = f"the LLM server has nothing at {self._path} (status {self.status}); check llm.url and llm.api"
            said = f" (it says: {refusal.words})" if refusal.words else ""
        elif 300 <= self.status < 400:
            target = one_line(self._response.getheader("Location") or "elsewhere", 100)
            text = f"the LLM server redirects to {target}; set llm.url to where it really is"
        else:
            text = f"the LLM server answered with status {self.status}"
        raise LlmError(text + said, self.status, refusal)

    def retry_after(self) -> Optional[float]:
        """Seconds that the server asked us to wait, if it did."""
        value = self._response.getheader("Retry-After") if self._response is not None else None
        try:
            return float(value) if value is not None else None
        except ValueError:
            return None


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The content of a body that was packed, all at once or in several parts. What follows the last part is dropped."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= 2:
            break
    chunks = itertools.chain([head], chunks)
    # Some servers send what deflate makes as it is, without zlib's two bytes before it (RFC 1950) or gzip's.
    zlibs = len(head) >= 2 and head[0] & 15 == zlib.DEFLATED and (head[0] << 8 | head[1]) % 31 == 0
    wbits = _GZIP_OR_ZLIB if zlibs or head[:2] == b"\x1f\x8b" else -zlib.MAX_WBITS
    unpacker = zlib.decompressobj(wbits=wbits)
    parts = 0
    for chunk in chunks:
        try:
            while chunk:
                if unpacker.eof:
                    unpacker = zlib.decompressobj(wbits=wbits)
                    parts += 1
                # In pieces: a few bytes can come to a lot, and the reader stops at what is too much.
                yield unpacker.decompress(chunk, _CHUNK)
                chunk = unpacker.unconsumed_tail or unpacker.unused_data
        except zlib.error as error:
            if parts:
                return
            raise LlmError(CUT_OFF) from error


class _Translated:
    """Turns what sockets and http.client raise into LlmError or Cancelled."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        exchange = self._exchange
        timeouts = exchange._llm.timeouts
        if error is None or isinstance(error, LlmError):
            return
        if not isinstance(error, (OSError, ValueError, http.client.HTTPException)):
            return
        exchange._check()
        if isinstance(error, socket.timeout):
            if exchange._begun:
                raise LlmError(f"the LLM went silent for {timeouts.idle_s:g} s in mid-answer") from error
            raise LlmError(f"the LLM said nothing within {timeouts.first_token_s:g} s") from error
        if isinstance(error, (http.client.BadStatusLine, http.client.LineTooLong)) and not isinstance(
                error, http.client.RemoteDisconnected):
            raise LlmError("the LLM server does not speak HTTP; check llm.url") from error
        if isinstance(error, http.client.IncompleteRead):
            raise LlmError(CUT_OFF) from error
        raise LlmError(f"the LLM server broke off the connection: {_why(error)}") from error


def _why(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror, 120).lower()
    return one_line(str(error), 120) or type(error).__name__

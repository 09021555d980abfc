#!/usr/bin/python3
"""An LLM server that says what a script tells it to, over both protocols (Ollama's /api/chat and OpenAI's
/v1/chat/completions), and that can misbehave.

In Python: `with ScriptedLlm(rules) as llm: ... llm.url ... llm.requests`. As a program, for other suites:

    scripted_llm.py --listen 127.0.0.1:0 --script rules.json --record requests.jsonl

prints the URL it listens on as its first line and serves until it is ended. A script is a JSON list of rules. For each
request the first rule that fits and is not used up answers:

    {"when": {"text": "…", "role": "user", "model": "…", "tools": true, "api": "ollama"},   all optional
     "times": 1,                                                                             default: for ever
     "reply": {…}}

`text` must occur in the last message, `role` is that message's role. A reply is any of

    {"content": "hello"}                      said in small pieces; "thinking": "…" is sent beside it. A request that
                                              wants no stream gets the content in one piece, and nothing of what follows
    {"echo": true}                            says the last message back
    {"calls": [{"name": "run_command", "arguments": {"command": "id"}}]}     tool calls; arguments that are a string
                                              are sent as they are (broken JSON, for instance)
    {"status": 404, "error": "…", "headers": {…}}
    {"error_midstream": "…", "content": "a bit"}     status 200, a bit of the answer, then an error object
    {"cut_after": 2, "content": "…"}          closes the connection after so many pieces
    {"garbage": "…"}                          these bytes as the body under status 200
    {"raw": "…"}                              these bytes instead of any HTTP
    {"hang": "headers" | "body" | "middle"}   says nothing (more) until the client goes away
    {"delay": 0.2}                            waits before it answers; with "gap": 0.1 also before every piece

Without a rule that fits the answer is a 500 that says so.

It lists `models` where each protocol has them, and answers /api/version unless `ollama` is false.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, List, Optional, Sequence


class ScriptedLlm:
    """Owns the listening socket and its threads; `close` (or leaving the with block) ends them and every wait."""

    def __init__(self, rules: Optional[List[Dict[str, Any]]] = None, host: str = "127.0.0.1", port: int = 0,
                 record: Optional[str] = None, models: Sequence[str] = (), ollama: bool = True) -> None:
        self.models = list(models)
        self.ollama = ollama
        self._rules = [dict(rule) for rule in rules or []]
        self._record = record
        self._changed = threading.Condition()
        self.requests: List[Dict[str, Any]] = []
        # Readable once the server ends, for those who wait in select().
        self.ending, self._end = socket.socketpair()
        owner = self

        class Handler(_Handler):
            llm = owner

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = False
        self.host, self.port = host, self._server.server_port
        self.url = f"http://{self.host}:{self.port}"
        # Most that were being answered at the same moment.
        self.at_once = 0
        self.now = 0
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def __enter__(self) -> ScriptedLlm:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._end.send(b"x")
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._end.close()
        self.ending.close()

    def add(self, reply: Dict[str, Any], times: int = 0, **when: Any) -> None:
        """Adds a rule that is looked at after those there are."""
        with self._changed:
            self._rules.append({"when": when, "reply": reply, **({"times": times} if times else {})})

    def rules(self, *rules: Dict[str, Any]) -> None:
        """Replaces the script."""
        with self._changed:
            self._rules = [dict(rule) for rule in rules]

    def wait_for_requests(self, count: int, timeout: float = 10.0) -> List[Dict[str, Any]]:
        """Returns once there were so many requests in all."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= count, timeout):
                raise AssertionError(f"{len(self.requests)} requests instead of {count} within {timeout} s")
            return list(self.requests)

    def choose(self, api: str, headers: Dict[str, str], body: Dict[str, Any]) -> Dict[str, Any]:
        """Notes the request and picks its reply."""
        last = (body.get("messages") or [{}])[-1]
        facts = {"api": api, "model": body.get("model"), "role": last.get("role"), "tools": bool(body.get("tools"))}
        with self._changed:
            entry = {"api": api, "headers": headers, "body": body}
            self.requests.append(entry)
            if self._record:
                with open(self._record, "a", encoding="utf-8") as file:
                    file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._changed.notify_all()
            for rule in self._rules:
                when = dict(rule.get("when") or {})
                text = when.pop("text", "")
                if rule.get("times") == 0 or text not in str(last.get("content")):
                    continue
                if any(facts.get(name) != value for name, value in when.items()):
                    continue
                if "times" in rule:
                    rule["times"] -= 1
                reply: Dict[str, Any] = dict(rule["reply"])
                if reply.pop("echo", False):
                    reply["content"] = str(last.get("content"))
                return reply
        return {"status": 500, "error": f"no rule of the script fits {facts}"}

    def busy(self, step: int) -> None:
        with self._changed:
            self.now += step
            self.at_once = max(self.at_once, self.now)


class _Handler(BaseHTTPRequestHandler):
    llm: ScriptedLlm
    protocol_version = "HTTP/1.1"
    # For a client that never finishes its request.
    timeout = 30

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        self.close_connection = True
        answers: Dict[str, Any] = {"/v1/models": {"object": "list", "data": [{"id": name} for name in self.llm.models]}}
        if self.llm.ollama:
            answers["/api/version"] = {"version": "0.9.0"}
            answers["/api/tags"] = {"models": [{"name": name} for name in self.llm.models]}
        answer = answers.get(self.path)
        self._plain(404 if answer is None else 200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        self.close_connection = True
        api = {"/api/chat": "ollama", "/v1/chat/completions": "openai"}.get(self.path)
        length = int(self.headers.get("Content-Length", "0"))
        sent = self.rfile.read(length)
        if len(sent) < length:
            # The client went away before it had said all.
            return
        body = json.loads(sent)
        if api is None:
            self._plain(404, b"404 page not found", {"Content-Type": "text/plain"})
            return
        reply = self.llm.choose(api, dict(self.headers), body)
        self.llm.busy(1)
        try:
            # Ollama streams unless told otherwise, the others only when told to.
            self._reply(api, reply, str(body.get("model")), bool(body.get("stream", api == "ollama")))
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            self.llm.busy(-1)

    def _wait(self, seconds: Optional[float]) -> None:
        """Lets time pass, or waits for ever; ends early when the client or the server goes away."""
        if seconds == 0:
            return
        readable, _, _ = select.select([self.connection, self.llm.ending], [], [], seconds)
        if readable:
            raise BrokenPipeError

    def _plain(self, status: int, body: bytes, headers: Dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _begin(self, api: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson" if api == "ollama" else "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _reply(self, api: str, reply: Dict[str, Any], model: str, streamed: bool) -> None:
        self._wait(reply.get("delay", 0))
        if "raw" in reply:
            self.wfile.write(reply["raw"].encode())
            return
        if reply.get("hang") == "headers":
            self._wait(None)
            return
        if "status" in reply:
            text = reply.get("error", "")
            error: Any = text if api == "ollama" else {"message": text, "type": "error"}
            body = json.dumps({"error": error}).encode() if text else b""
            self._plain(reply["status"], body, {"Content-Type": "application/json", **reply.get("headers", {})})
            return
        if "garbage" in reply:
            self._plain(200, reply["garbage"].encode(), {"Content-Type": "application/json"})
            return
        if not streamed:
            whole = {"message": {"role": "assistant", "content": reply.get("content", "")}}
            value = {"model": model, "done": True, **whole} if api == "ollama" else {"model": model, "choices": [whole]}
            self._plain(200, json.dumps(value).encode(), {"Content-Type": "application/json"})
            return
        self._begin(api)
        if reply.get("hang") == "body":
            self._wait(None)
            return
        pieces = _ollama_pieces(reply, model) if api == "ollama" else _openai_pieces(reply, model)
        for number, piece in enumerate(pieces):
            if number == reply.get("cut_after"):
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if reply.get("hang") == "middle" and number == 1:
                self._wait(None)
                return
            if number:
                self._wait(reply.get("gap", 0))
            self._chunk(piece)
        self.wfile.write(b"0\r\n\r\n")


def _split(text: str) -> List[str]:
    """Small pieces of uneven size, so that tags and words are cut anywhere."""
    sizes, pieces, start, turn = (1, 3, 7, 2), [], 0, 0
    while start < len(text):
        pieces.append(text[start : start + sizes[turn % 4]])
        start += sizes[turn % 4]
        turn += 1
        if turn > 400:
            pieces.append(text[start:])
            break
    return pieces


def _ollama_pieces(reply: Dict[str, Any], model: str) -> List[bytes]:
    def line(message: Dict[str, Any], **more: Any) -> bytes:
        value = {"model": model, "message": {"role": "assistant", "content": "", **message}, "done": False, **more}
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"

    pieces = [line({"thinking": text}) for text in _split(reply.get("thinking", ""))]
    pieces += [line({"content": text}) for text in _split(reply.get("content", ""))]
    if "error_midstream" in reply:
        return pieces + [json.dumps({"error": reply["error_midstream"]}).encode() + b"\n"]
    for call in reply.get("calls", []):
        pieces.append(line({"tool_calls": [{"function": {"name": call["name"], "arguments": call["arguments"]}}]}))
    return pieces + [line({}, done=True, done_reason=reply.get("done_reason", "stop"), eval_count=1)]


def _openai_pieces(reply: Dict[str, Any], model: str) -> List[bytes]:
    def event(delta: Dict[str, Any], reason: Optional[str] = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        value = {"object": "chat.completion.chunk", "model": model, "choices": [choice]}
        return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"

    pieces = [b": keep-alive\n\n", event({"role": "assistant", "content": ""})]
    pieces += [event({"reasoning_content": text}) for text in _split(reply.get("thinking", ""))]
    pieces += [event({"content": text}) for text in _split(reply.get("content", ""))]
    if "error_midstream" in reply:
        return pieces + [b"data: " + json.dumps({"error": {"message": reply["error_midstream"]}}).encode() + b"\n\n"]
    calls = reply.get("calls", [])
    for index, call in enumerate(calls):
        raw = call["arguments"] if isinstance(call["arguments"], str) else json.dumps(call["arguments"])
        function = {"name": call["name"], "arguments": ""}
        pieces.append(event({"tool_calls": [{"index": index, "id": f"id{index}", "type": "function", "function": function}]}))
        pieces += [event({"tool_calls": [{"index": index, "function": {"arguments": text}}]}) for text in _split(raw)]
    reason = "tool_calls" if calls else reply.get("done_reason", "stop")
    return pieces + [event({}, reason), b"data: [DONE]\n\n"]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--script", metavar="FILE", help="rules; without it every message is said back")
    parser.add_argument("--record", metavar="FILE", help="append every request to this file, one JSON object a line")
    arguments = parser.parse_args()
    host, _, port = arguments.listen.rpartition(":")
    rules: List[Dict[str, Any]] = [{"reply": {"echo": True}}]
    if arguments.script:
        with open(arguments.script, encoding="utf-8") as file:
            rules = json.load(file)
    with ScriptedLlm(rules, host, int(port), arguments.record) as llm:
        print(llm.url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())

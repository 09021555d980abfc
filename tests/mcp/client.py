"""A client of `fireclaw mcp`, as thin as can be: it says what a test wants, right or wrong."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
from sanitized import is_sanitized  # noqa: E402

FIRECLAW = os.environ["FIRECLAW_PROGRAM"]
HOME = os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"]
LIMIT_SECONDS = 120
MEMORY_COUNTS = not is_sanitized(FIRECLAW)


def command(*words: str) -> list[str]:
    common = [FIRECLAW, "--home", HOME]
    if engine := os.environ.get("FIRECLAW_TEST_ENGINE"):
        common += ["--engine", engine]
    return [*common, *words]


def machines() -> list[dict[str, Any]]:
    listing = subprocess.run(command("vm", "list", "--json"), capture_output=True, check=True, timeout=LIMIT_SECONDS)
    return json.loads(listing.stdout)


def snapshots() -> list[str]:
    listing = subprocess.run(command("snapshot", "list", "--json"), capture_output=True, check=True,
                             timeout=LIMIT_SECONDS)
    return [snapshot["name"] for snapshot in json.loads(listing.stdout)]


class Client:
    def __init__(self, *options: str, version: Optional[str] = "2025-11-25") -> None:
        self.process = subprocess.Popen(command("mcp", *options), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.received: "queue.Queue[Any]" = queue.Queue()
        self.errors = b""
        # Whatever came between that was not waited for.
        self.notifications: list[dict[str, Any]] = []
        self.last_id = 0
        self.threads = [threading.Thread(target=self.read_out), threading.Thread(target=self.read_err)]
        for thread in self.threads:
            thread.start()
        if version is not None:
            self.ask("initialize", {"protocolVersion": version, "capabilities": {},
                                    "clientInfo": {"name": "test", "version": "1"}})
            self.notify("notifications/initialized")

    def read_out(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            # Nothing else may ever be there.
            self.received.put(json.loads(line))
        self.received.put(None)

    def read_err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, message: Any) -> None:
        self.write(json.dumps(message).encode() + b"\n")

    def receive(self) -> Any:
        return self.received.get(timeout=LIMIT_SECONDS)

    def notify(self, method: str, params: Optional[dict[str, Any]] = None) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params or {}})

    def request(self, method: str, params: Optional[dict[str, Any]] = None) -> int:
        self.last_id += 1
        self.send({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params or {}})
        return self.last_id

    def answer(self, request: int) -> dict[str, Any]:
        while True:
            message = self.receive()
            assert message is not None, self.errors
            if "id" not in message:
                self.notifications.append(message)
                continue
            assert message["id"] == request, message
            return message

    def ask(self, method: str, params: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        return self.answer(self.request(method, params))

    def start(self, tool: str, **arguments: Any) -> int:
        return self.request("tools/call", {"name": tool, "arguments": arguments})

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return self.answer(self.start(tool, **arguments))["result"]

    def use(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = self.call(tool, **arguments)
        assert not result["isError"], result
        return result["structuredContent"]

    def failure(self, tool: str, **arguments: Any) -> str:
        result = self.call(tool, **arguments)
        assert result["isError"], result
        return result["content"][0]["text"]

    def close(self) -> int:
        """Ends the connection as clients do, and returns the exit status."""
        assert self.process.stdin is not None and self.process.stdout is not None and self.process.stderr is not None
        self.process.stdin.close()
        status = self.process.wait(LIMIT_SECONDS)
        for thread in self.threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return status

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.close()

"""The bot behind the gateway, on servers that the test plays: what passes, what the bot never gets to know, and what it
says and does when a server or the gateway fails."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "agent"), str(TESTS / "support")]

from certificate import make_certificate, server_context  # noqa: E402
from fake_irc import FakeClient, FakeIrc  # noqa: E402
from harness import FolderTest, RunningAgent, settings  # noqa: E402
from scripted_llm import ScriptedLlm  # noqa: E402

PROGRAM = os.environ["GATEWAY_ON_LOOPBACK"]
ALICE = ":alice!a@host"
PASSWORD = "open-sesame"
ACCOUNT = {"user": "worker", "password_secret": "account"}
ACCOUNT_PASSWORD = "hunter2"
TOKEN = base64.b64encode(f"\0worker\0{ACCOUNT_PASSWORD}".encode()).decode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as any_server:
        port: int = any_server.getsockname()[1]
        return port


class Gateway:
    """The process, which serves at the same ports however often it is started."""

    def __init__(self, folder: str) -> None:
        self.port, self.irc_port = free_port(), free_port()
        self._file = Path(folder, "gateway.json")
        self._process: Optional["subprocess.Popen[str]"] = None

    def start(self, irc: Dict[str, Any], llm: Dict[str, Any]) -> None:
        value = {"gateway": {"llm": {"port": self.port, "upstreams": [{"name": "brain", **llm}]},
                             "irc": {"port": self.irc_port, "upstreams": [{"name": "chat", **irc}]}},
                 "secrets": {"server": PASSWORD, "account": ACCOUNT_PASSWORD}}
        self._file.write_text(json.dumps(value))
        self.restart()

    def restart(self) -> None:
        # One that is killed leaves its socket there.
        environment = {**os.environ, "TMPDIR": str(self._file.parent)}
        self._process = subprocess.Popen([PROGRAM, str(self._file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         env=environment)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()
        self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.communicate("")


class BehindTheGateway(FolderTest):
    def setUp(self) -> None:
        super().setUp()
        self.irc = FakeIrc()
        self.addCleanup(self.irc.__exit__)
        self.llm = ScriptedLlm([{"reply": {"content": "Hello!"}}])
        self.addCleanup(self.llm.close)
        self.gateway = Gateway(self.folder)
        self.addCleanup(self.gateway.stop)

    def serve(self, irc: Optional[Dict[str, Any]] = None, llm: Optional[Dict[str, Any]] = None) -> None:
        self.gateway.start({"host": "127.0.0.1", "port": self.irc.port, **(irc or {})}, {"url": self.llm.url, **(llm or {})})

    def bot(self, **changes: Any) -> RunningAgent:
        """It knows the gateway's address and nothing else."""
        value = settings(server={"port": self.gateway.irc_port}, llm={"url": f"http://127.0.0.1:{self.gateway.port}"},
                         workspace=self.folder)
        value["server"].update(changes.pop("server", {}))
        running = RunningAgent({**value, **changes})
        running.__enter__()
        self.addCleanup(running.__exit__)
        return running

    def come_in(self, client: FakeClient) -> FakeClient:
        client.welcome()
        client.joined("#agents")
        return client

    def ask(self, client: FakeClient, text: str, pattern: str, unknown: bool = False) -> str:
        """What alice hears, whom the bot asks the server about if she is unknown on this connection."""
        client.send(f"{ALICE} PRIVMSG #agents :worker: {text}")
        if unknown:
            client.whois("alice")
        return client.expect(pattern)

    def told(self, running: RunningAgent, part: str) -> str:
        """What the bot's status says went wrong, once it says that."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            error = str(running.status()["last_error"])
            if part in error:
                return error
        raise AssertionError(f"not {part!r} but {running.status()}")


class Passing(BehindTheGateway):
    def test_a_server_with_tls_password_and_account_sees_a_bot_that_has_none_of_them(self) -> None:
        certificate = make_certificate(self.folder, "localhost")
        self.irc = FakeIrc(server_context(certificate))
        self.addCleanup(self.irc.__exit__)
        self.serve(irc={"host": "localhost", "tls": True, "ca_file": certificate, "password_secret": "server", "sasl": ACCOUNT})
        self.bot()
        client = self.irc.accept()
        client.expect(f"PASS :{PASSWORD}$")
        client.expect("CAP REQ :sasl$")
        client.send(":irc.test CAP * ACK :sasl")
        client.expect("AUTHENTICATE PLAIN$")
        client.send("AUTHENTICATE +")
        client.expect(f"AUTHENTICATE {TOKEN}$")
        client.send(":irc.test 900 * *!*@* worker :You are now logged in", ":irc.test 903 * :done")
        client.expect("CAP END$")
        self.come_in(client)
        self.assertEqual(self.ask(client, "hi", "PRIVMSG #agents", unknown=True), "PRIVMSG #agents :alice: Hello!")

    def test_a_bot_that_is_refused_is_told_why_and_comes_back_later(self) -> None:
        self.serve(irc={"sasl": ACCOUNT})
        running = self.bot()
        client = self.irc.accept()
        client.expect("CAP REQ :sasl")
        client.send(":irc.test CAP * ACK :sasl", "AUTHENTICATE +", ":irc.test 904 * :SASL authentication failed")
        client.expect_end()
        error = self.told(running, "the IRC server 'chat' does not let the gateway in")
        self.assertNotIn(ACCOUNT_PASSWORD, error)
        again = self.irc.accept()
        again.expect("CAP REQ :sasl")
        again.send(":irc.test CAP * ACK :sasl", "AUTHENTICATE +", ":irc.test 903 * :done")
        self.come_in(again)

    def test_what_ends_on_one_side_ends_on_the_other(self) -> None:
        self.serve()
        running = self.bot()
        client = self.come_in(self.irc.accept())
        client.close()
        client = self.come_in(self.irc.accept())
        running.__exit__()
        client.expect("QUIT")
        client.expect_end()


class Failing(BehindTheGateway):
    def test_a_certificate_that_nobody_knows_or_that_is_anothers_is_not_spoken_to(self) -> None:
        for name, trusted in (("localhost", False), ("other.test", True)):
            with self.subTest(name):
                certificate = make_certificate(self.folder, name)
                server = FakeIrc(server_context(certificate))
                self.addCleanup(server.__exit__)
                trust = {"ca_file": certificate} if trusted else {}
                self.gateway.start({"host": "localhost", "port": server.port, "tls": True, **trust}, {"url": self.llm.url})
                running = self.bot()
                accepted = in_background(server.accept)
                self.told(running, "the gateway does not trust the certificate of the IRC server 'chat'")
                accepted()
                running.__exit__()
                self.gateway.stop()

    def test_a_server_that_is_down_is_named_and_found_when_it_is_up(self) -> None:
        port = free_port()
        self.serve(irc={"port": port})
        self.told(self.bot(), "the gateway cannot reach the IRC server 'chat'")
        self.irc = FakeIrc(port=port)
        self.addCleanup(self.irc.__exit__)
        self.come_in(self.irc.accept())

    def test_a_server_that_speaks_no_tls_is_named(self) -> None:
        self.serve(irc={"tls": True})
        running = self.bot()
        client = self.irc.accept()
        client.send(":irc.test NOTICE * :hello")
        self.told(running, "the gateway does not trust the certificate of the IRC server 'chat'")

    def test_a_slow_server_is_waited_for(self) -> None:
        self.serve(irc={"sasl": ACCOUNT})
        self.bot()
        client = self.irc.accept()
        for line in (":irc.test CAP * ACK :sasl", "AUTHENTICATE +", ":irc.test 903 * :done"):
            for letter in f"{line}\r\n":
                client.raw(letter.encode())
            time.sleep(0.3)
        self.come_in(client)

    def test_a_gateway_that_is_killed_in_the_middle_of_an_answer(self) -> None:
        self.serve()
        self.llm.rules({"times": 1, "when": {"text": "long"}, "reply": {"content": "word " * 100, "hang": "middle"}},
                       {"reply": {"content": "Fine again."}})
        # On IRC by itself it can say so.
        self.bot(server={"port": self.irc.port})
        client = self.come_in(self.irc.accept())
        client.send(f"{ALICE} PRIVMSG #agents :worker: something long")
        client.whois("alice")
        self.llm.wait_for_requests(1)
        self.gateway.kill()
        self.assertRegex(client.expect("PRIVMSG #agents :alice: "), "the LLM server (broke off|cut its answer off)")
        self.assertIn("cannot reach", self.ask(client, "and now?", "PRIVMSG #agents :alice: "))
        self.gateway.restart()
        self.ask(client, "and tomorrow?", "PRIVMSG #agents :alice: Fine again")

    def test_a_gateway_that_is_killed_is_found_again_by_irc_too(self) -> None:
        self.serve()
        self.bot()
        client = self.come_in(self.irc.accept())
        self.gateway.kill()
        client.expect_end()
        self.gateway.restart()
        self.ask(self.come_in(self.irc.accept()), "hi", "PRIVMSG #agents :alice: Hello!", unknown=True)

    def test_an_llm_server_that_is_down_untrusted_or_slow_is_named(self) -> None:
        certificate = make_certificate(self.folder, "localhost")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            context = server_context(certificate)
            with context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True) as unknown:
                cases: List[Tuple[str, str]] = [
                    ("http://127.0.0.1:1", "cannot reach the LLM server 'brain'"),
                    (f"https://127.0.0.1:{unknown.getsockname()[1]}", "does not trust the certificate of the LLM server 'brain'"),
                    (f"http://127.0.0.1:{silent.getsockname()[1]}", "the LLM server 'brain' does not answer")]
                for url, error in cases:
                    with self.subTest(url):
                        self.serve(llm={"url": url, "idle_s": 1})
                        running = self.bot()
                        client = self.come_in(self.irc.accept())
                        accepting = in_background(unknown.accept) if url.startswith("https") else None
                        self.assertIn(error, self.ask(client, "hi", "PRIVMSG #agents :alice: ", unknown=True))
                        if accepting:
                            accepting()
                        running.__exit__()
                        self.gateway.stop()


def in_background(work: Callable[[], Any]) -> Callable[[], None]:
    """Runs `work`, whose failure is of no interest, in a thread; what is returned waits for its end."""
    def run() -> None:
        with contextlib.suppress(OSError):
            work()

    thread = threading.Thread(target=run)
    thread.start()
    return thread.join


if __name__ == "__main__":
    unittest.main()

"""A guest that may reach one web server by name, through the gateway's HTTP proxy, and wants another."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Dict, List

# First: it enters namespaces of the test's own.
import network_test
from network_test import fireclaw, ip
from redteam import LIMIT_SECONDS

WEB, OTHER = "203.0.113.7", "203.0.113.8"
# Allowed names with answers that no name may have.
WITHIN = {"private.example": "192.168.77.1", "ten.example": "10.1.2.3", "loopback.example": "127.0.0.1",
          "gateway.example": "172.16.0.1", "host.example": "198.51.100.2", "metadata.example": "169.254.169.254",
          "carrier.example": "100.64.0.1", "zero.example": "0.0.0.0"}
NAMES = {"web.example": WEB, "other.example": OTHER, **WITHIN}
# Answers for names, and takes connections to ports 80 and 443 of all its addresses: what each was sent is a line of JSON.
SERVERS = """
import json, socket, sys, threading
names = json.loads(sys.argv[1])
def answer_names():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", 53))
    while True:
        asked, client = server.recvfrom(512)
        labels, at = [], 12
        while asked[at]:
            labels.append(asked[at + 1:at + 1 + asked[at]].decode())
            at += 1 + asked[at]
        address = names.get(".".join(labels).lower())
        if address is None or asked[at + 1:at + 3] != b"\\0\\1":
            server.sendto(asked[:2] + b"\\x81\\x80\\0\\1\\0\\0\\0\\0\\0\\0" + asked[12:at + 5], client)
            continue
        answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + socket.inet_aton(address)
        server.sendto(asked[:2] + b"\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0" + asked[12:at + 5] + answer, client)
def serve(port):
    listener = socket.create_server(("0.0.0.0", port), backlog=64)
    while True:
        peer = listener.accept()[0]
        threading.Thread(target=take, args=(peer, port), daemon=True).start()
def take(peer, port):
    with peer:
        place = peer.getsockname()[0]
        peer.settimeout(2)
        said = b""
        try:
            while more := peer.recv(65536):
                said += more
                if port == 80 and b"\\r\\n\\r\\n" in said: peer.settimeout(0.5)
        except OSError: pass
        # In one write: several threads do it.
        sys.stdout.write(json.dumps([place, port, said.decode("latin-1")]) + "\\n")
        sys.stdout.flush()
        try: peer.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nreached " + place.encode())
        except OSError: pass
if names: threading.Thread(target=answer_names, daemon=True).start()
for port in (80, 443): threading.Thread(target=serve, args=(port,), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


def hello(name: str) -> bytes:
    """The first record of TLS that asks for a server of that name; for "" it names none."""
    def with_length(size: int, content: bytes) -> bytes:
        return len(content).to_bytes(size, "big") + content

    server = with_length(2, b"\0" + with_length(2, name.encode()))
    extensions = b"\0\0" + with_length(2, server) if name else b""
    body = b"\3\3" + bytes(32) + b"\0" + with_length(2, b"\x13\x01") + b"\1\0" + with_length(2, extensions)
    return b"\x16\3\1" + with_length(2, b"\1" + with_length(3, body))


def connect(target: str, *more: str) -> bytes:
    return "\r\n".join([f"CONNECT {target} HTTP/1.1", *more, "", ""]).encode()


def get(target: str, *more: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", *more, "", ""]).encode()


class Servers:
    """SERVERS in a network namespace; what they were sent goes to a file."""

    def __init__(self, names: Dict[str, str], *before: str) -> None:
        self.log = tempfile.NamedTemporaryFile("r", suffix=".log")
        with open(self.log.name, "w") as out:
            self.process = subprocess.Popen([*before, sys.executable, "-c", SERVERS, json.dumps(names)],
                                            stdin=subprocess.PIPE, stdout=out)
        while not Path(self.log.name).read_text().startswith("ready\n"):
            if self.process.poll() is not None:
                raise RuntimeError("the servers have ended")
            time.sleep(0.02)

    def sent(self) -> List[List[Any]]:
        """[address, port, what it was sent], since the last call."""
        return [json.loads(line) for line in self.log.read().splitlines() if line != "ready"]

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(LIMIT_SECONDS)
        self.log.close()


class ProxyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.world = Servers(NAMES, "unshare", "--net")
        there = cls.world.process.pid
        network_test.lead_to(there)
        cls.here = Servers({})
        for address in (WEB, OTHER, *WITHIN.values()):
            if address not in ("127.0.0.1", "172.16.0.1", "198.51.100.2", "0.0.0.0"):
                ip("address", "add", f"{address}/32", "dev", "lo", pid=there)
        cls.resolver = tempfile.NamedTemporaryFile("w", suffix=".conf")
        cls.resolver.write("nameserver 198.51.100.1\n")
        cls.resolver.flush()
        subprocess.run(["mount", "--bind", cls.resolver.name, os.path.realpath("/etc/resolv.conf")], check=True)

    @classmethod
    def tearDownClass(cls) -> None:
        fireclaw("network", "down")
        subprocess.run(["umount", os.path.realpath("/etc/resolv.conf")], check=True)
        cls.resolver.close()
        cls.world.end()
        cls.here.end()

    def ask(self, *attempts: "tuple[bytes, ...]") -> List[str]:
        """What the proxy answers to each attempt, whose parts are sent a second apart: the status line, with " reached" and
        an address where a server answered."""
        asking, telling = [], []
        for number, parts in enumerate(attempts):
            said = "; sleep 1; ".join(f"echo {base64.b64encode(part).decode()} | base64 -d" for part in parts)
            asking.append(f"({said}; sleep 1) | nc -w 6 172.16.0.1 10080 > /tmp/{number} 2>&1 &")
            telling.append(f"echo {number} $(head -n 1 /tmp/{number} | tr -d '\\r') $(grep -o 'reached.*' /tmp/{number})")
        done = fireclaw("run", "-t", "110", *self.allowed(), "\n".join([*asking, "wait", *telling]))
        self.assertEqual(done.returncode, 0, done.stderr)
        told = [line.partition(" ")[2].strip() for line in done.stdout.decode("latin-1").splitlines()]
        self.assertEqual(len(told), len(attempts), told)
        return told

    def allowed(self) -> List[str]:
        return [word for name in ("web.example", *WITHIN) for word in ("--allow-http", name)]

    def log(self) -> List[Dict[str, Any]]:
        lines: List[Dict[str, Any]] = json.loads(fireclaw("network", "log", "-n", "100000", "--json").stdout)
        return [line for line in lines if line["by"] == "proxy"]

    def test_connect_leads_to_the_named_server_alone(self) -> None:
        seen = len(self.log())
        to_web = connect("web.example:443")
        told = self.ask(
            (connect(f"{WEB}:443"), hello("web.example")),
            (connect(f"{OTHER}:443"), hello("web.example")),
            (connect("3405803783:443"), hello("web.example")),
            (connect("[::ffff:203.0.113.7]:443"), hello("web.example")),
            (connect("other.example:443"), hello("web.example")),
            (connect("web.example:22"),),
            (connect("web.example"), hello("web.example")),
            (connect("web.example:443", "Host: other.example"), hello("other.example")),
            (connect("web.example:443@other.example:443"), hello("other.example")),
            # Another server than CONNECT's, none, a name cut in two by a zero byte, and what is not TLS.
            (to_web, hello("other.example")),
            (to_web, hello("")),
            (to_web, hello("web.example\0other.example")),
            (to_web, hello("other.example") + hello("web.example")),
            (to_web, get("http://other.example/")),
            (to_web, hello("web.example")))
        self.assertEqual([line for line in told[:9] if not line.startswith("HTTP/1.1 40")], [], told)
        self.assertEqual([line for line in told[9:14] if "reached" in line], [], told)
        self.assertEqual(told[14], f"HTTP/1.1 200 Connection established reached {WEB}")
        got = [(place, said) for place, port, said in self.world.sent() if said]
        self.assertEqual(got, [(WEB, hello("web.example").decode("latin-1"))])
        self.assertEqual(self.here.sent(), [])
        self.assertLessEqual({"name", "allow-http", "host", "sni", "tls"}, {line["rule"] for line in self.log()[seen:]})

    def test_a_plain_request_reaches_the_server_of_its_url_with_that_name(self) -> None:
        url = "http://web.example/"
        told = self.ask(
            (get(url, "Host: other.example"),),
            (get(url, "Host: web.example", "Host: other.example"),),
            (get(url, "Host : other.example"),),
            (get(url, "X: a\0b"),),
            (get("/", "Host: web.example"),),
            (get("http://other.example/", "Host: web.example"),),
            (get("http://web.example@other.example/"),),
            (get("http://other.example#@web.example/"),),
            (get("http://other.example\\@web.example/"),),
            (get(f"http://{OTHER}/", "Host: web.example"),),
            (get("https://other.example/", "Host: web.example"),),
            # A length that can be read in two ways would hide a second request.
            (get(url, "Content-Length: 4", "Content-Length: 40") + b"abcd" + get("http://other.example/"),),
            (get(url, "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + get("http://other.example/"),),
            (get(url, "Transfer-Encoding: chunked, identity") + b"0\r\n\r\n" + get("http://other.example/"),),
            (get(url, "Transfer-Encoding: xchunked") + b"0\r\n\r\n" + get("http://other.example/"),))
        self.assertEqual([line for line in told if not line.startswith("HTTP/1.1 40")], [], told)
        self.assertEqual([line for line in told if "reached" in line], [], told)
        self.assertEqual((self.world.sent(), self.here.sent()), ([], []))

        # What goes through is one request, with the name of its URL and without what concerns the proxy.
        told = self.ask(
            (get("http://WEB.example./a?b") + get("http://other.example/", "Host: other.example"),),
            (get(url + "c", "Connection: Host, X-Secret", "X-Secret: 1", "Proxy-Authorization: Basic eDp5", "Upgrade: h2c"),),
            (get(url + "d", "Content-Length: 4") + b"abcd" + get("http://other.example/"),))
        self.assertEqual(told, [f"HTTP/1.0 200 OK reached {WEB}"] * 3)
        got = sorted(self.world.sent(), key=lambda sent: sent[2])
        self.assertEqual([(place, port, said.count("HTTP/1.1"), said.split("\r\n")[0]) for place, port, said in got],
                         [(WEB, 80, 1, f"GET /{path} HTTP/1.1") for path in ("a?b", "c", "d")])
        for _, _, said in got:
            hosts = [line for line in said.split("\r\n") if line.lower().startswith("host:")]
            self.assertEqual(hosts, ["Host: web.example"], said)
            for word in ("other.example", "X-Secret", "Proxy-Authorization", "Upgrade"):
                self.assertNotIn(word, said)

    def test_an_allowed_name_with_an_address_within_leads_nowhere(self) -> None:
        told = self.ask(*[(get(f"http://{name}/"),) for name in WITHIN],
                        *[(connect(f"{name}:443"), hello(name)) for name in ("private.example", "loopback.example")])
        self.assertEqual(told, ["HTTP/1.1 403 Forbidden"] * len(told))
        self.assertEqual((self.world.sent(), self.here.sent()), ([], []))
        self.assertLessEqual(set(WITHIN), {line["name"] for line in self.log() if line["rule"] == "private"})


if __name__ == "__main__":
    unittest.main()

"""A real ngIRCd on the loopback interface, with a configuration of its own in a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from typing import Optional

from children import NOBODY, bound

PATH = shutil.which("ngircd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

_CONFIG = """[Global]
Name = irc.test
Info = test server
Listen = {listen}
Ports = {port}
MotdPhrase = welcome
{password}
{tls}
[Options]
DNS = no
Ident = no
PAM = no
[Limits]
MaxNickLength = 16
MaxConnectionsIP = 0
PingTimeout = {ping}
{penalty}
[Operator]
Name = oper
Password = secret
"""


class Ngircd:
    """Owns the process; `stop` and `start` restart it on the same port."""

    def __init__(self, folder: str, ping_timeout: int = 120, penalties: bool = False, listen: str = "127.0.0.1",
                 port: int = 0, tls: str = "", password: str = "") -> None:
        """Without `penalties` the server does not make clients wait that say much. With `tls` it has a port for that as
        well; its certificate and key are that name's .pem and .key. With `password` it lets in who knows that."""
        assert PATH is not None
        with socket.create_server((listen, port)) as probe:
            self.port: int = probe.getsockname()[1]
        self.tls_port = 0
        tls_section = ""
        if tls:
            with socket.create_server((listen, 0)) as probe:
                self.tls_port = probe.getsockname()[1]
            tls_section = f"[SSL]\nCertFile = {tls}.pem\nKeyFile = {tls}.key\nPorts = {self.tls_port}\n"
        self._path = os.path.join(folder, "ngircd.conf")
        self._log = os.path.join(folder, "ngircd.log")
        # Started as root it would change to nobody, and outlive a test that is killed.
        self._as_nobody = os.getuid() == 0
        if self._as_nobody:
            os.chmod(folder, 0o711)
            if tls:
                os.chown(f"{tls}.key", NOBODY, NOBODY)
        with open(self._path, "w", encoding="ascii") as file:
            file.write(_CONFIG.format(listen=listen, port=self.port, ping=ping_timeout, tls=tls_section,
                                      password=f"Password = {password}" if password else "",
                                      penalty="" if penalties else "MaxPenaltyTime = 0"))
        if self._as_nobody:
            for path in (self._path, f"{tls}.pem" if tls else self._path):
                os.chmod(path, 0o644)
        self._process: Optional[subprocess.Popen[bytes]] = None
        self.start()

    def __enter__(self) -> Ngircd:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        assert PATH is not None
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(bound([PATH, "--nodaemon", "--config", self._path], self._as_nobody), stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=log)

    def stop(self, kill: bool = False) -> None:
        process, self._process = self._process, None
        if process is not None:
            if kill:
                process.kill()
            else:
                process.terminate()
            process.wait(10)

    def log(self) -> str:
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return file.read()

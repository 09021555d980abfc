"""A real InspIRCd on the loopback interface, with a configuration of its own in a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from typing import Optional

from children import bound

# The server that services say they are, and what both sides of the link say first.
SERVICES = "services.test"
SERVICES_PASSWORD = "link"

PATH = shutil.which("inspircd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

_CONFIG = """<server name="irc.test" description="test server" network="TestNet">
<admin name="test" nick="test" email="test@irc.test">
<bind address="127.0.0.1" port="{port}" type="clients">
<power diepass="" restartpass="">
<connect name="all" allow="*" maxchans="20" timeout="10" pingfreq="60" hardsendq="1M" softsendq="8192" recvq="64K"
         localmax="100" globalmax="100" commandrate="100000" threshold="1000" fakelag="no">
<pid file="{folder}/inspircd.pid">
<log method="file" type="*" level="default" target="{folder}/inspircd.log">
<path configdir="{folder}" datadir="{folder}" logdir="{folder}" runtimedir="{folder}">
<options allowhalfop="yes">
<performance nouserdns="yes" netbuffersize="10240" somaxconn="128">
<security hidesplits="no" runasuser="{user}" runasgroup="{user}">
<class name="none">
<module name="cap">
<module name="ircv3">
<module name="ircv3_accounttag">
<module name="services_account">
"""
_SERVICES = """<module name="sasl">
<module name="spanningtree">
<bind address="127.0.0.1" port="{port}" type="servers">
<sasl target="{name}">
<uline server="{name}" silent="yes">
<link name="{name}" ipaddr="127.0.0.1" port="{port}" allowmask="127.0.0.1" sendpass="{password}" recvpass="{password}">
"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Inspircd:
    """Owns the process."""

    def __init__(self, folder: str, services: bool = False, more: str = "") -> None:
        """With `services` it lets them in at a port of their own; without them there is no SASL. `more` is added to the
        configuration."""
        assert PATH is not None
        self.port = _free_port()
        self.services_port = _free_port() if services else 0
        self._folder = folder
        path = os.path.join(folder, "inspircd.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(_CONFIG.format(port=self.port, folder=folder, user="root" if os.getuid() == 0 else "") + more)
            if services:
                file.write(_SERVICES.format(port=self.services_port, name=SERVICES, password=SERVICES_PASSWORD))
        with open(os.path.join(folder, "output"), "ab") as output:
            self._process: Optional[subprocess.Popen[bytes]] = subprocess.Popen(
                bound([PATH, "--nofork", "--config", path, "--runasroot"]), stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def __enter__(self) -> Inspircd:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(10)

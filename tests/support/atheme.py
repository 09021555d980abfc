"""Real services (Atheme: NickServ, SaslServ) beside an InspIRCd that waits for them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from typing import Any, Dict, Optional

from children import bound
from inspircd import SERVICES, SERVICES_PASSWORD, Inspircd

PATH = shutil.which("atheme-services")

_MODULES = ("protocol/inspircd", "backend/opensex", "crypto/pbkdf2v2", "nickserv/main", "nickserv/register",
            "nickserv/identify", "nickserv/ghost", "saslserv/main", "saslserv/plain")
_CONFIG = """{modules}
serverinfo {{ name = "{name}"; desc = "services"; numeric = "00A"; recontime = 1; netname = "TestNet";
  hidehostsuffix = "users.test"; adminname = "test"; adminemail = "test@irc.test"; registeremail = "test@irc.test";
  auth = none; casemapping = rfc1459; }};
uplink "irc.test" {{ host = "127.0.0.1"; port = {port}; send_password = "{password}"; receive_password = "{password}"; }};
nickserv {{ nick = "NickServ"; user = "NickServ"; host = "{name}"; real = "Nickname Services"; }};
saslserv {{ nick = "SaslServ"; user = "SaslServ"; host = "{name}"; real = "SASL"; }};
"""


class Atheme:
    """Owns the process. It has joined the network once `server` offers SASL to a client."""

    def __init__(self, folder: str, server: Inspircd) -> None:
        assert PATH is not None
        own = os.path.join(folder, "atheme")
        os.mkdir(own)
        path = os.path.join(own, "atheme.conf")
        with open(path, "w", encoding="ascii") as file:
            modules = "\n".join(f'loadmodule "modules/{name}";' for name in _MODULES)
            file.write(_CONFIG.format(modules=modules, name=SERVICES, port=server.services_port, password=SERVICES_PASSWORD))
        # It refuses to be root.
        as_nobody: Dict[str, Any] = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            as_nobody = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for each in (own, path):
                os.chown(each, nobody.pw_uid, nobody.pw_gid)
            os.chmod(folder, 0o711)
        with open(os.path.join(own, "output"), "ab") as output:
            self._process: Optional[subprocess.Popen[bytes]] = subprocess.Popen(
                bound([PATH, "-n", "-c", path, "-l", os.path.join(own, "log"), "-p", os.path.join(own, "pid"), "-D", own]),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, **as_nobody)
        self._output = os.path.join(own, "output")
        self._wait()

    def _wait(self, timeout: float = 20.0) -> None:
        deadline = time.monotonic() + timeout
        while True:
            with open(self._output, encoding="utf-8", errors="replace") as file:
                said = file.read()
            if "finished synching with uplink" in said:
                return
            if time.monotonic() > deadline or (self._process is not None and self._process.poll() is not None):
                raise AssertionError(f"the services did not come up: {said[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(10)

"""A user without rights to the host's network, for tests that root runs: user nobody, without capabilities, in a network
namespace and a mount namespace that are the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import List, Optional

NOBODY = 65534
LIMIT_SECONDS = 300


def words() -> List[str]:
    """What is put before a command line so that nobody runs it."""
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]


def reason_against() -> Optional[str]:
    """Why it cannot be tried here."""
    if os.geteuid() != 0:
        return "only root can become nobody"
    if shutil.which("pasta") is None and shutil.which("slirp4netns") is None:
        return "neither pasta nor slirp4netns is installed"
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True).returncode != 0:
        return "no network namespace can be made"
    if subprocess.run([*words(), "unshare", "--user", "--net", "true"], capture_output=True).returncode != 0:
        return "users can make no user namespaces"
    return None


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_SECONDS).stdout


def make_host(folder: Path, home: str) -> Path:
    """Makes of this process's namespaces, which are its own, a host that nobody can use: loopback is up, and nobody can
    open /dev/net/tun and /dev/kvm, as users of most systems can. Returns a copy of the home folder that is nobody's."""
    folder.chmod(0o755)
    run("ip", "link", "set", "lo", "up")
    for device in ("/dev/net/tun", "/dev/kvm"):
        if os.path.exists(device):
            number = os.stat(device).st_rdev
            node = folder / os.path.basename(device)
            run("mknod", "-m", "666", str(node), "c", str(os.major(number)), str(os.minor(number)))
            run("mount", "--bind", str(node), device)
    copy = folder / "home"
    run("cp", "-a", "--sparse=always", "--reflink=auto", home, str(copy))
    run("chown", "-R", f"{NOBODY}:{NOBODY}", str(copy))
    return copy

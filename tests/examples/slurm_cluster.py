"""A Slurm cluster of two nodes on this machine: a controller and two slurmd, in this process's network namespace."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
CONTROLLER, DAEMON = shutil.which("slurmctld", path=_PATH), shutil.which("slurmd", path=_PATH)

# Nobody else is in this namespace: the daemons need not prove who they are, and no cgroup is wanted.
_CONFIG = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/spool.%n
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={one} CPUs=1 RealMemory=1024
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={two} CPUs=1 RealMemory=1024
PartitionName=all Nodes=one,two Default=YES MaxTime=10
"""


class Cluster:
    """Owns the daemons. What clients need is in `environment`."""

    def __init__(self, folder: Path) -> None:
        assert CONTROLLER and DAEMON
        # Slurm asks for addresses of the kinds that there are beside the loopback interface's.
        for words in ("link add nodes type bridge", "addr add 192.0.2.1/24 dev nodes", "link set nodes up"):
            subprocess.run(["ip", *words.split()], check=True)
        (folder / "state").mkdir()
        config = folder / "slurm.conf"
        config.write_text(_CONFIG.format(host=socket.gethostname(), user=pwd.getpwuid(os.getuid()).pw_name, folder=folder,
                                         controller=6817, one=6818, two=6819))
        self.environment = {"SLURM_CONF": str(config)}
        self._log = (folder / "daemons.log").open("wb")
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            for command in ([CONTROLLER, "-D"], [DAEMON, "-D", "-N", "one"], [DAEMON, "-D", "-N", "two"]):
                self._processes.append(subprocess.Popen(command, env={**os.environ, **self.environment},
                                                        stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log))
            self._wait_until_idle(60)
        except BaseException:
            self.close()
            raise

    def _wait_until_idle(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (states := self.run("sinfo", "--noheader", "--Node", "--format=%N %t")) != "one idle\ntwo idle\n":
            if time.monotonic() > end:
                raise AssertionError(f"the nodes are not idle after {seconds} s: {states}")
            time.sleep(0.1)

    def run(self, *command: str) -> str:
        """What a client of Slurm's prints, also if it fails."""
        return subprocess.run(command, env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout

    def close(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(30)
        self._log.close()

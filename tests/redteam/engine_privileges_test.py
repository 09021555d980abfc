"""What the engine of a running machine may do: looked at from outside, in /proc, while a guest runs in it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import unittest
from pathlib import Path

PROGRAM = os.environ["FIRECLAW_PROGRAM"]
HOME = os.environ.get("FIRECLAW_TEST_HOME") or os.environ["FIRECLAW_BUILD_HOME"]
NAMESPACES = ("mnt", "pid", "net", "user", "ipc", "uts")


def found() -> dict[str, object]:
    """What setup has found of how engines can be shut in here."""
    return json.loads(Path(HOME, "config.json").read_text())["confinement"]


class Machine:
    """A machine that runs until its input ends, and its engine."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [PROGRAM, "--home", HOME, "run", "--net", "none", *options, "echo up; cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self.process.stdout.readline() != "up\n":
            self.process.kill()
            raise AssertionError("the machine did not start")
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            children += (task / "children").read_text().split()
        self.engine = int(next(child for child in children if self._is_engine(child)))

    @staticmethod
    def _is_engine(pid: str) -> bool:
        return re.search("qemu|firecracker", Path(f"/proc/{pid}/cmdline").read_text()) is not None

    def status(self, name: str) -> str:
        text = Path(f"/proc/{self.engine}/status").read_text()
        return re.search(rf"^{name}:\t(.*)$", text, re.MULTILINE)[1]

    def limit(self, name: str) -> tuple[str, str]:
        text = Path(f"/proc/{self.engine}/limits").read_text()
        line = next(line for line in text.splitlines() if line.startswith(name))
        return tuple(line[len(name) :].split()[:2])

    def root(self, path: str) -> Path:
        return Path(f"/proc/{self.engine}/root{path}")

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


class EnginePrivileges(unittest.TestCase):
    def setUp(self) -> None:
        if found()["level"] != "full":
            self.skipTest(f"no namespaces here: {found()['obstacle']}")

    def check_confined(self, machine: Machine) -> None:
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(machine.status(capabilities), "0" * 16, capabilities)
        self.assertEqual(machine.status("NoNewPrivs"), "1")
        self.assertEqual(machine.status("Seccomp"), "2")
        for name in NAMESPACES:
            its = os.readlink(f"/proc/{machine.engine}/ns/{name}")
            self.assertNotEqual(its, os.readlink(f"/proc/self/ns/{name}"), name)
        users = found().get("users")
        uids = set(machine.status("Uid").split())
        if users:
            self.assertEqual(len(uids), 1)
            self.assertIn(int(uids.pop()), range(users["first"], users["first"] + users["count"]))
            # At most the group that /dev/kvm was given to.
            kvm = Path("/dev/kvm")
            lent = {str(kvm.stat().st_gid)} - {str(os.getegid())} if kvm.exists() else set()
            self.assertLessEqual(set(machine.status("Groups").split()), lent)
        else:
            self.assertEqual(uids, {str(os.geteuid())})

    def check_limited(self, machine: Machine) -> None:
        self.assertEqual(machine.limit("Max core file size"), ("0", "0"))
        self.assertEqual(machine.limit("Max open files"), ("2048", "2048"))
        self.assertEqual(machine.limit("Max locked memory"), ("65536", "65536"))
        soft, hard = machine.limit("Max file size")
        self.assertEqual(soft, hard)
        self.assertLess(int(soft), 1 << 40)

    def check_root(self, machine: Machine) -> None:
        for hidden in ("/root", "/etc/passwd", "/etc/shadow", "/var", "/sys", "/proc/1", "/proc/self/environ", "/dev/kmsg"):
            self.assertFalse(os.path.lexists(machine.root(hidden)), hidden)
        home = os.path.realpath(HOME)
        self.assertFalse(machine.root(f"{home}/config.json").exists())
        self.assertFalse(machine.root(f"{home}/keys").exists())
        runs = machine.root(f"{home}/runs")
        self.assertEqual(len(list(runs.iterdir())), 1, "the folders of others")
        self.assertNotIn("run.json", os.listdir(next(runs.iterdir())))

    def test_a_restored_machines_engine_has_nothing_but_its_machine(self) -> None:
        with Machine() as machine:
            self.check_confined(machine)
            self.check_limited(machine)
            self.check_root(machine)

    def test_neither_has_that_of_a_machine_that_booted(self) -> None:
        with Machine("--no-snapshot") as machine:
            self.check_confined(machine)
            self.check_limited(machine)
            self.check_root(machine)

    def test_two_machines_have_two_users(self) -> None:
        if "users" not in found():
            self.skipTest(f"engines run as the caller: {found()['users_obstacle']}")
        with Machine() as first, Machine() as second:
            self.assertNotEqual(first.status("Uid"), second.status("Uid"))

    def test_a_machines_engine_is_in_its_own_cgroup_with_limits(self) -> None:
        said = subprocess.run([PROGRAM, "--home", HOME, "doctor", "--json"], stdin=subprocess.DEVNULL, capture_output=True)
        cgroups = next(check for check in json.loads(said.stdout)["checks"] if check["name"] == "cgroups of machines")
        if cgroups["status"] != "ok":
            self.skipTest(cgroups["detail"])
        with Machine() as first, Machine() as second:
            folders = {Path(f"/proc/{machine.engine}/cgroup").read_text().rpartition("0::")[2].strip() for machine in (first, second)}
            self.assertEqual(len(folders), 2)
            for folder in folders:
                files = Path("/sys/fs/cgroup" + folder)
                self.assertEqual(files.parent, Path(cgroups["detail"].removeprefix("in ")))
                self.assertLess(int((files / "memory.max").read_text()), 4 << 30)
                self.assertEqual((files / "memory.oom.group").read_text(), "1\n")
                self.assertLess(int((files / "pids.max").read_text()), 200)
        self.assertEqual([folder for folder in folders if Path("/sys/fs/cgroup" + folder).exists()], [])

    def test_an_image_cannot_be_written_through_the_engines_root(self) -> None:
        with Machine() as machine:
            images = machine.root(f"{os.path.realpath(HOME)}/images")
            files = [file for image in images.iterdir() for file in image.iterdir()]
            self.assertNotEqual(files, [])
            for file in files:
                os.close(os.open(file, os.O_RDONLY))
                with self.assertRaises(OSError, msg=str(file)):
                    os.close(os.open(file, os.O_RDWR))

    def test_the_engine_dies_with_its_owner(self) -> None:
        machine = Machine()
        with open(f"/proc/{machine.engine}/stat") as stat:
            self.assertIn(machine.process.pid, [int(field) for field in stat.read().rsplit(")", 1)[1].split()[1:2]])
            machine.process.send_signal(signal.SIGKILL)
            machine.process.wait(60)
            machine.process.stdin.close()
            machine.process.stdout.close()
            subprocess.run(["tail", f"--pid={machine.engine}", "-f", "/dev/null"], timeout=60, check=True)
        subprocess.run([PROGRAM, "--home", HOME, "gc"], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    unittest.main()

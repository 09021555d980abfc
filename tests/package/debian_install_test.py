#!/usr/bin/python3
"""Installs the Debian packages, uses them, upgrades them and removes them, without this machine being changed.

usage: debian_install_test.py FOLDER-OF-THE-PACKAGES [unittest arguments]

It all happens in a copy of this machine's system that is thrown away: what is written goes to memory (overlayfs, in
a mount namespace). With FIRECLAW_TEST_DEBIAN set, in a new, minimal Debian instead, where apt fetches dependencies.
FIRECLAW_TEST_HOME, or FIRECLAW_BUILD_HOME, names a home folder that has been set up: a command runs in a machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict

from packages import CONSUMER, debian_packages, output, run

# Set once this is in namespaces of its own: the folder that all of the test's files are in.
INSIDE = "FIRECLAW_TEST_INSIDE"
CLEAN = bool(os.environ.get("FIRECLAW_TEST_DEBIAN"))
HOME = os.environ.get("FIRECLAW_TEST_HOME") or os.environ.get("FIRECLAW_BUILD_HOME") or ""

# What dpkg, its triggers and Python's cache of the system's own modules write anyhow.
BOOKKEEPING = re.compile(r"(var/lib/dpkg|var/cache|var/log|var/lib/apt|etc/ld\.so\.cache|root|tmp|mnt|run|proc|sys|dev)(/|$)")

PACKAGES = Path()

# In the changed root, before all other programs.
SYSTEMCTL = "/mnt/bin"
# No systemd runs there. This writes down what one is asked for, and ends what a service holds as one would.
RECORDER = """#!/bin/sh
echo "$*" >>/mnt/systemctl.log
if [ "$1 $2" = "disable --now" ]; then
  sed -n 's/^ExecStop=//p' "/etc/systemd/system/$3" | sh
fi
"""
NOBODY = 65534


def make_system(scratch: Path) -> Path:
    """A root folder to install into. It is gone with the namespaces."""
    root = scratch / "root"
    root.mkdir(exist_ok=True)
    if not CLEAN:
        memory = scratch / "memory"
        memory.mkdir()
        output("mount", "-t", "tmpfs", "tmpfs", memory)
        for name in ("upper", "work"):
            (memory / name).mkdir()
        output("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={memory}/upper,workdir={memory}/work", root)
    output("mount", "-t", "proc", "proc", root / "proc")
    output("mount", "--rbind", "/dev", root / "dev")
    for name in ("tmp", "mnt"):
        output("mount", "-t", "tmpfs", "tmpfs", root / name)
    return root


class Installed(unittest.TestCase):
    """The tests depend on their order: each takes the system a step further."""

    @classmethod
    def setUpClass(cls) -> None:
        scratch = Path(os.environ[INSIDE])
        cls.root = make_system(scratch)
        cls.scratch = scratch
        cls.packages = debian_packages(PACKAGES)
        cls.version = output("dpkg-deb", "--field", cls.packages["fireclaw"], "Version").strip()
        for file in cls.packages.values():
            shutil.copy(file, cls.root / "mnt")
        cls.before = cls.files()

    @classmethod
    def inside(cls, *command: str) -> subprocess.CompletedProcess[str]:
        return run("chroot", cls.root, "/usr/bin/env", "-i", f"PATH={SYSTEMCTL}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                   "LC_ALL=C.UTF-8", "FIRECLAW_HOME=/tmp/home", *command)

    def output(self, *command: str) -> str:
        done = self.inside(*command)
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}{done.stderr}")
        return done.stdout

    @classmethod
    def files(cls) -> set[str]:
        """What belongs to no bookkeeping; of an overlay only what differs from the system below."""
        top = cls.root if CLEAN else cls.scratch / "memory/upper"
        return {
            str(path.relative_to(top))
            for path in top.rglob("*")
            if not path.is_dir() and not path.is_char_device() and not BOOKKEEPING.match(str(path.relative_to(top)))
        }

    def install(self, files: list[str]) -> str:
        return self.output("dpkg", "--install", *files)

    def test_1_they_can_be_installed(self) -> None:
        self.install([f"/mnt/{file.name}" for file in self.packages.values()])
        listed = self.output("dpkg-query", "--show", "--showformat=${Package} ${db:Status-Abbrev}\n", *self.packages)
        self.assertEqual(set(listed.splitlines()), {f"{name} ii " for name in self.packages})

    def test_2_the_programs_run_and_find_what_goes_into_machines(self) -> None:
        version = self.version.split("-")[0]
        self.assertEqual(self.output("fireclaw", "--version").strip(), f"fireclaw {version}")
        self.assertIn(version, self.output("fireclaw-overseer", "--version"))
        doctor = self.inside("fireclaw", "doctor")
        self.assertRegex(doctor.stdout, r"ok +guestd.*/usr/libexec/fireclaw/guestd", doctor.stderr)

    def test_2_python_imports_it(self) -> None:
        said = self.output("python3", "-c", "import fireclaw; print(fireclaw.version(), fireclaw.__file__)")
        self.assertEqual(said.split(), [self.version.split("-")[0], "/usr/lib/python3/dist-packages/fireclaw/__init__.py"])
        # By the package, not by the import: what it writes is removed with it.
        compiled = self.root / "usr/lib/python3/dist-packages/fireclaw/__pycache__"
        self.assertTrue(list(compiled.glob("__init__.*.pyc")))

    def test_2_a_foreign_project_is_built_with_it(self) -> None:
        if CLEAN:
            self.skipTest("there is no compiler in a minimal Debian")
        shutil.copytree(CONSUMER, self.root / "tmp/consumer")
        self.output("cmake", "-S", "/tmp/consumer", "-B", "/tmp/built", "-G", "Ninja", "-DWANTED_VERSION=")
        self.output("cmake", "--build", "/tmp/built")
        self.assertIn("images: 0", self.output("/tmp/built/consumer", "/tmp/another-home"))
        self.assertEqual(self.output("pkg-config", "--libs", "fireclaw").strip(), "-lfireclaw")

    def test_2_a_command_runs_in_a_machine(self) -> None:
        if CLEAN or not HOME:
            self.skipTest("there is no engine in a minimal Debian" if CLEAN else "FIRECLAW_BUILD_HOME is not set")
        (self.root / "tmp/home").mkdir(mode=0o700, exist_ok=True)
        output("mount", "--bind", HOME, self.root / "tmp/home")
        try:
            self.assertEqual(self.output("fireclaw", "run", "--net", "none", "echo $((6 * 7))").strip(), "42")
            said = self.output("python3", "-c", "import fireclaw; print(fireclaw.run('echo $((6 * 7))').text)")
            self.assertEqual(said.strip(), "42")
        finally:
            output("umount", self.root / "tmp/home")

    def test_3_the_next_version_takes_their_place(self) -> None:
        upgrades = []
        for name, file in self.packages.items():
            folder = self.root / "mnt" / name
            output("dpkg-deb", "--raw-extract", file, folder)
            control = folder / "DEBIAN/control"
            control.write_text(control.read_text().replace(self.version, self.version + "+next"))
            output("dpkg-deb", "--root-owner-group", "-Znone", "--build", folder, self.root / f"mnt/{name}.deb")
            shutil.rmtree(folder)
            upgrades.append(f"/mnt/{name}.deb")
        # A library and what goes into machines belong together.
        alone = self.inside("dpkg", "--install", "/mnt/fireclaw.deb")
        self.assertRegex(alone.stderr, r"fireclaw depends on libfireclaw\d+ \(=")
        self.assertIn("in each home folder, 'fireclaw upgrade' makes again what version", self.install(upgrades))
        self.output("fireclaw", "--version")
        self.output("python3", "-c", "import fireclaw")

    def make_home(self, name: str, owner: int, network: Dict[str, str]) -> str:
        """A home folder with the image and the engines of the one that is prepared; without that it has neither."""
        home = self.root / "tmp" / name
        config: Dict[str, Any] = {"schema": 1}
        if HOME and not CLEAN:
            shutil.copytree(Path(HOME, "images/busybox"), home / "images/busybox")
            config = json.loads(Path(HOME, "config.json").read_text())
        home.mkdir(exist_ok=True)
        (home / "config.json").write_text(json.dumps({**config, "network": network}))
        home.chmod(0o700)
        for path in (home, *home.rglob("*")):
            os.chown(path, owner, owner)
        return f"/tmp/{name}"

    @staticmethod
    def network() -> str:
        """What this network namespace has, as others see it."""
        return "".join((output("ip", "-o", "link"), output("nft", "list", "ruleset"),
                        Path("/proc/sys/net/ipv4/ip_forward").read_text()))

    def test_4_their_removal_ends_what_they_have_made_and_says_what_stays(self) -> None:
        output("ip", "link", "set", "lo", "up")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
        output("mount", "-t", "sysfs", "sysfs", self.root / "sys")
        self.addCleanup(output, "umount", self.root / "sys")
        (self.root / "run/systemd/system").mkdir(parents=True, exist_ok=True)
        recorder = self.root / SYSTEMCTL[1:] / "systemctl"
        recorder.parent.mkdir()
        recorder.write_text(RECORDER)
        recorder.chmod(0o755)
        before = self.network()

        # One home has services, machines and the host's own bridge; the other is an ordinary user's, with rights to
        # the network as a service of his has them.
        home = self.make_home("home-of-root", 0, {})
        other = self.make_home("home-of-nobody", NOBODY, {"bridge": "fcbr1", "subnet": "172.16.1.0/24"})
        self.output("fireclaw-overseer", "--home", home, "install")
        if shutil.which("ngircd", path=f"{self.root}/usr/sbin"):
            self.output("fireclaw-overseer", "--home", home, "irc", "install")
        self.output("fireclaw", "--home", home, "network", "up")
        engines = []
        if HOME and not CLEAN:
            self.output("fireclaw", "--home", home, "vm", "create", "--net", "nat", "box")
            self.output("fireclaw", "--home", home, "run", "--detach", "--net", "nat", "sleep 1000")
            engines = [vm["engine_pid"] for vm in json.loads(self.output("fireclaw", "--home", home, "vm", "list", "--json"))]
            self.assertEqual(len(engines), 2)
        self.output("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=+net_admin",
                    "--ambient-caps=+net_admin", "fireclaw", "--home", other, "network", "up")
        self.assertIn("fcbr0", self.network())
        self.assertIn("fcbr1", self.network())
        services = sorted(path.stem for path in (self.root / "etc/systemd/system").glob("fireclaw-*.service"))
        self.assertIn("fireclaw-agents", services)

        removal = self.inside("dpkg", "--purge", *self.packages)
        self.assertEqual(removal.returncode, 0, removal.stderr)
        asked = (self.root / "mnt/systemctl.log").read_text().splitlines()
        self.assertEqual(sorted(line.split()[2] for line in asked if line.startswith("disable --now")),
                         [f"{service}.service" for service in services])
        self.assertEqual(list((self.root / "etc/systemd/system").glob("fireclaw-*")), [])
        self.assertEqual([pid for pid in engines if Path(f"/proc/{pid}").exists()], [])
        self.assertEqual(self.network(), before)
        for folder in (home, other):
            self.assertRegex(removal.stdout, f"stays: '{folder}'|'{folder}' stays")
            self.assertTrue((self.root / folder[1:] / "config.json").exists())
        type(self).removal = removal

    def test_5_nothing_else_is_left(self) -> None:
        # dpkg tells of folders that it could not remove.
        self.assertNotIn("warning", self.removal.stderr)
        self.assertEqual(self.files(), self.before)
        for name in ("usr/lib/python3/dist-packages/fireclaw", "usr/libexec/fireclaw", "usr/share/fireclaw"):
            self.assertFalse((self.root / name).exists(), name)


def make_clean_root(root: Path) -> None:
    """A minimal Debian, with what the packages depend on from the mirrors that this machine's apt uses."""
    debs = sorted(PACKAGES.glob("*.deb"))
    hooks = ["--customize-hook=" + " ".join(["copy-in", *map(str, debs), "/mnt"])]
    # Installed and removed again: what the tests install must find its dependencies there.
    install = "apt-get install --yes --no-install-recommends /mnt/*.deb && dpkg --purge " + " ".join(debian_packages(PACKAGES))
    hooks += [f"--customize-hook=chroot \"$1\" sh -c '{install}'"]
    sources = [path for path in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.sources"))
               if path.is_file()]
    done = run("mmdebstrap", "--mode=root", "--variant=minbase", "--skip=cleanup/apt", *hooks, "bookworm", root,
               *sources)
    if done.returncode != 0:
        raise SystemExit(f"mmdebstrap failed\n{done.stderr}")


def enter() -> None:
    """Starts this again in namespaces of its own, so that no mount and no packet gets out of them."""
    if os.geteuid() != 0:
        print("skipped: installing packages needs root")
        raise SystemExit(77)
    with tempfile.TemporaryDirectory(prefix="fireclaw-install-") as scratch:
        if CLEAN:
            make_clean_root(Path(scratch) / "root")
        command = ["unshare", "--mount", "--net", "--propagation", "private", sys.executable, *sys.argv]
        status = subprocess.run(command, env={**os.environ, INSIDE: scratch}, check=False).returncode
    raise SystemExit(status)


if __name__ == "__main__":
    PACKAGES = Path(sys.argv[1]).resolve()
    if INSIDE not in os.environ:
        enter()
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])

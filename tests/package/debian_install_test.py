#!/usr/bin/python3
"""Installs the Debian packages, uses them, upgrades them and removes them, without this machine being changed.

usage: debian_install_test.py FOLDER-OF-THE-PACKAGES [unittest arguments]

It all happens in a copy of this machine's system that is thrown away: what is written goes to memory (overlayfs, in
a mount namespace). With FIRECLAW_TEST_DEBIAN set, in a new, minimal Debian instead, where apt fetches dependencies.
FIRECLAW_TEST_HOME, or FIRECLAW_BUILD_HOME, names a home folder that has been set up: a command runs in a machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from packages import CONSUMER, debian_packages, output, run

# Set once this is in namespaces of its own: the folder that all of the test's files are in.
INSIDE = "FIRECLAW_TEST_INSIDE"
CLEAN = bool(os.environ.get("FIRECLAW_TEST_DEBIAN"))
HOME = os.environ.get("FIRECLAW_TEST_HOME") or os.environ.get("FIRECLAW_BUILD_HOME") or ""

# What dpkg, its triggers and Python's cache of the system's own modules write anyhow.
BOOKKEEPING = re.compile(r"(var/lib/dpkg|var/cache|var/log|var/lib/apt|etc/ld\.so\.cache|root|tmp|mnt|run)(/|$)")

PACKAGES = Path()


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
        return run("chroot", cls.root, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
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
        self.install(upgrades)
        self.output("fireclaw", "--version")
        self.output("python3", "-c", "import fireclaw")

    def test_4_nothing_is_left_when_they_are_removed(self) -> None:
        done = self.inside("dpkg", "--purge", *self.packages)
        self.assertEqual(done.returncode, 0, done.stderr)
        # dpkg tells of folders that it could not remove.
        self.assertNotIn("warning", done.stderr)
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

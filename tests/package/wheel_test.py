#!/usr/bin/python3
"""Makes a source distribution, has pip install that, and uses what it installed.

usage: wheel_test.py SOURCE-FOLDER [unittest arguments]

CXX and CMAKE_CXX_COMPILER_LAUNCHER are passed on by the environment. FIRECLAW_TEST_HOME, or FIRECLAW_BUILD_HOME, names
a home folder that has been set up: a command runs in a machine.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile
from pathlib import Path

from packages import output, run
from search_paths import binaries, open_entries

SOURCE = Path()
HOME = os.environ.get("FIRECLAW_TEST_HOME") or os.environ.get("FIRECLAW_BUILD_HOME") or ""
NEEDED = {"pip": "python3-pip", "setuptools": "python3-setuptools", "wheel": "python3-wheel"}
# What frontends like pip call; this makes no network connection and installs nothing.
MAKE_SDIST = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"


def source_files() -> set[str]:
    """What belongs to the source tree: what git knows, or else all that is not made by building."""
    tracked = run("git", "-C", SOURCE, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if tracked.returncode == 0:
        return {name for name in tracked.stdout.split("\0") if name and (SOURCE / name).is_file()}
    return {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*")
        if path.is_file() and not re.match(r"build(/|-)|\.git/", str(path.relative_to(SOURCE))) and path.suffix != ".pyc"
    }


class Wheel(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-wheel-")
        cls.addClassCleanup(folder.cleanup)
        cls.scratch = Path(folder.name)
        header = (SOURCE / "include/fireclaw/version.hpp").read_text()
        cls.version = re.search(r'FIRECLAW_VERSION_STRING "(.+)"', header).group(1)
        cls.files = source_files()

        # A copy, since setuptools writes into the tree.
        tree = cls.scratch / "tree"
        for name in cls.files:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / name, tree / name)
        output(sys.executable, "-c", MAKE_SDIST, cls.scratch, cwd=tree)
        cls.sdist = cls.scratch / f"fireclaw-{cls.version}.tar.gz"
        with tarfile.open(cls.sdist) as archive:
            archive.extractall(cls.scratch)
        cls.unpacked = cls.scratch / f"fireclaw-{cls.version}"

        # With the system's packages, which the build backend is one of.
        output(sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", cls.scratch / "venv")
        cls.python = cls.scratch / "venv/bin/python3"
        cls.pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(cls.scratch), str(cls.unpacked),
                # As the tests' own build, so that the compiler's cache has it.
                CMAKE_ARGS="-DFIRECLAW_WERROR=ON", CCACHE_BASEDIR=str(cls.unpacked), CCACHE_NOHASHDIR="1")
        cls.wheel = next(cls.scratch.glob("*.whl"))
        cls.pip("install", "--no-deps", str(cls.wheel))

    @classmethod
    def pip(cls, command: str, *words: str, **environment: str) -> str:
        return output(cls.python, "-m", "pip", command, "--no-index", "--disable-pip-version-check", *words, **environment)

    def ask(self, code: str, **environment: str) -> str:
        done = subprocess.run([self.python, "-I", "-c", code], env={**os.environ, **environment}, timeout=120,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_the_source_distribution_is_the_source_tree(self) -> None:
        packed = {str(path.relative_to(self.unpacked)) for path in self.unpacked.rglob("*") if path.is_file()}
        packed = {name for name in packed if not name.startswith("build/")}
        self.assertEqual(self.files - packed, set())
        added = {name for name in packed - self.files if ".egg-info/" not in name}
        self.assertEqual(added, {"PKG-INFO", "setup.cfg"})

    def test_the_wheel_has_all_of_the_package_and_nothing_else(self) -> None:
        names = {name for name in zipfile.ZipFile(self.wheel).namelist() if ".dist-info/" not in name}
        python = {name.removeprefix("bindings/python/") for name in self.files if name.startswith("bindings/python/")}
        described = subprocess.run(
            [sys.executable, str(SOURCE / "cmake/describe.py"), str(SOURCE / "include"), "python", str(self.scratch / "types"),
             str(SOURCE / "bindings/python/fireclaw/_types/methods.py")], capture_output=True, text=True, check=True).stdout
        python |= {f"fireclaw/_types/{Path(name).name}" for name in described.splitlines()}
        agent = {f"fireclaw/share/fireclaw/{name}" for name in self.files if name.startswith(("agent/bot/", "agent/root/"))}
        binaries = {name for name in names - python - agent}
        self.assertEqual(python | agent, names - binaries)
        abi = re.search(r"FIRECLAW_(\d+) {", (SOURCE / "libfireclaw/exports.map").read_text()).group(1)
        module = next(name for name in binaries if name.startswith("fireclaw/_fireclaw."))
        self.assertEqual(binaries, {module, f"fireclaw/lib/libfireclaw.so.{abi}", "fireclaw/libexec/fireclaw/guestd",
                                    "fireclaw/libexec/fireclaw/fireclaw-netd"})

    def test_it_says_what_it_is(self) -> None:
        said = self.ask("from importlib.metadata import metadata; m = metadata('fireclaw');"
                        "print(m['Name'], m['Version'], m['Requires-Python'], m.get_all('Requires-Dist'))")
        self.assertEqual(said, f"fireclaw {self.version} >=3.9 None")
        self.assertNotIn("-any.whl", self.wheel.name)

    def test_its_name_tells_what_c_library_it_needs_and_older_systems_refuse_it(self) -> None:
        archive = zipfile.ZipFile(self.wheel)
        needed = set()
        for name in archive.namelist():
            if re.search(r"/_fireclaw\..*\.so$|/libfireclaw\.so", name):
                versions = output("readelf", "--version-info", "--wide", archive.extract(name, self.scratch / "binaries"))
                needed |= {tuple(map(int, version)) for version in re.findall(r"Name: GLIBC_(\d+)\.(\d+)", versions)}
        major, minor = max(needed)
        self.assertIn(f"-manylinux_{major}_{minor}_{os.uname().machine}.whl", self.wheel.name)
        older = run(self.python, "-m", "pip", "install", "--no-index", "--no-deps", "--only-binary=:all:", "--target", self.scratch / "old",
                    "--platform", f"manylinux_{major}_{minor - 1}_{os.uname().machine}", self.wheel)
        self.assertNotEqual(older.returncode, 0)
        self.assertIn("is not a supported wheel on this platform", older.stdout + older.stderr)

    def test_it_is_imported_with_its_own_library(self) -> None:
        version, package, libraries = self.ask(
            "import fireclaw; print(fireclaw.version()); print(fireclaw.__file__);"
            "print(*{line.split()[-1] for line in open('/proc/self/maps') if 'libfireclaw' in line})").splitlines()
        self.assertEqual(version, self.version)
        self.assertTrue(package.startswith(str(self.scratch / "venv/lib/")), package)
        self.assertEqual(str(Path(libraries).parent), str(Path(package).parent / "lib"))

    def test_it_takes_libraries_from_nowhere_else(self) -> None:
        package = Path(self.ask("import fireclaw; print(fireclaw.__path__[0])"))
        self.assertEqual(len(binaries(package)), 4)
        self.assertEqual(open_entries(package), [])

    def test_it_finds_what_goes_into_machines(self) -> None:
        found = self.ask("import fireclaw, sys; host = fireclaw.Host.open(fireclaw.HostOptions(home=sys.prefix + '/home'));"
                         "print(*(c.detail for c in host.doctor() if c.name == 'guestd' and c.status == 'ok'))")
        self.assertRegex(found, rf"{self.scratch}/venv/lib/python[\d.]+/site-packages/fireclaw/libexec/fireclaw/guestd")
        self.assertTrue(os.access(found, os.X_OK))

    @unittest.skipUnless(HOME, "FIRECLAW_BUILD_HOME is not set")
    def test_a_command_runs_in_a_machine(self) -> None:
        said = self.ask("import fireclaw; print(fireclaw.run('echo $((6 * 7))').text)", FIRECLAW_HOME=HOME)
        self.assertEqual(said, "42")

    def test_no_path_of_the_building_machine_is_in_it(self) -> None:
        archive = zipfile.ZipFile(self.wheel)
        found = [name for name in archive.namelist() if str(self.scratch).encode() in archive.read(name)]
        self.assertEqual(found, [])

    def test_editable_mode_is_refused_with_the_way_to_go(self) -> None:
        tree = self.scratch / "editable"
        shutil.copytree(self.unpacked, tree, ignore=shutil.ignore_patterns("build"))
        done = run(self.python, "-m", "pip", "install", "--no-index", "--no-build-isolation", "--editable", tree)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("PYTHONPATH=build/dev/python", done.stdout + done.stderr)

    def test_z_nothing_is_left_when_it_is_removed(self) -> None:
        package = Path(self.ask("import fireclaw; print(fireclaw.__path__[0])"))
        output(self.python, "-m", "pip", "uninstall", "--yes", "fireclaw")
        self.assertEqual([path for path in package.parent.iterdir() if "fireclaw" in path.name], [])


if __name__ == "__main__":
    SOURCE = Path(sys.argv[1]).resolve()
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        print(f"skipped: needs {' '.join(missing)} (Debian: apt-get install {' '.join(missing)})")
        raise SystemExit(77)
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])

#!/usr/bin/python3
"""Installs a build and uses the copy as strangers do: by CMake, by pkg-config, from a folder it was moved to.

usage: package_test.py BUILD-FOLDER SOURCE-FOLDER CXX Shared|Static [unittest arguments]
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

from packages import CONSUMER, output, run

BUILD, SOURCE, CXX = Path(), Path(), ""
HOME = os.environ.get("FIRECLAW_TEST_HOME") or os.environ.get("FIRECLAW_BUILD_HOME") or ""


class Package(unittest.TestCase):
    """What holds for either kind of library."""

    library_name = ""
    # What pkg-config is to be asked.
    pkg_config: tuple[str, ...] = ()

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-package-")
        cls.addClassCleanup(folder.cleanup)
        cls.scratch = Path(folder.name)
        first = cls.scratch / "installed"
        output("cmake", "--install", BUILD, "--prefix", first)
        # An installed tree may be moved: all further tests use it where it was not installed.
        cls.prefix = cls.scratch / "moved to" / "prefix"
        cls.prefix.parent.mkdir()
        first.rename(cls.prefix)
        cls.libdir = next(cls.prefix.rglob(cls.library_name)).parent
        cls.library = (cls.libdir / cls.library_name).resolve()
        header = (cls.prefix / "include/fireclaw/version.hpp").read_text()
        cls.version = re.search(r'FIRECLAW_VERSION_STRING "(.+)"', header).group(1)
        cls.abi = re.search(r"FIRECLAW_(\d+) {", (SOURCE / "libfireclaw/exports.map").read_text()).group(1)

    def configure(self, name: str, wanted: str) -> subprocess.CompletedProcess[str]:
        return run("cmake", "-S", CONSUMER, "-B", self.scratch / name, "-G", "Ninja", f"-DCMAKE_CXX_COMPILER={CXX}",
                   f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DWANTED_VERSION={wanted}")

    def check_consumer(self, program: Path, **environment: str) -> None:
        home = Path(tempfile.mkdtemp(dir=self.scratch)) / "home"
        said = output(program, home, **environment)
        self.assertRegex(said, "images: 0\n(not_found|invalid_state): .+")

    def test_a_cmake_project_finds_builds_and_runs_it(self) -> None:
        configured = self.configure("consumer", ".".join(self.version.split(".")[:2]))
        self.assertEqual(configured.returncode, 0, configured.stderr)
        output("cmake", "--build", self.scratch / "consumer")
        self.check_consumer(self.scratch / "consumer" / "consumer")

    def test_the_examples_are_built_with_it_and_run_a_command(self) -> None:
        build = self.scratch / "examples"
        output("cmake", "-S", SOURCE / "examples/cpp", "-B", build, "-G", "Ninja", f"-DCMAKE_CXX_COMPILER={CXX}",
               f"-DCMAKE_PREFIX_PATH={self.prefix}")
        output("cmake", "--build", build)
        self.assertTrue(all(os.access(build / name, os.X_OK) for name in ("clone_snapshot", "start_agent")))
        self.assertEqual(output(build / "run_command", "echo from a machine", FIRECLAW_HOME=HOME), "from a machine\n")

    def test_only_versions_that_it_is_compatible_with_are_granted(self) -> None:
        major, minor, patch = map(int, self.version.split("."))
        granted = ["", f"{major}.{minor}", self.version, f"{self.version} EXACT", f"{major}.{minor}...<{major}.{minor + 1}"]
        refused = [f"{major}.{minor}.{patch + 1}", f"{major}.{minor + 1}", f"{major + 1}.0", f"{major}.{minor + 1}...{major + 1}",
                   f"{major}.{minor}.{patch + 1} EXACT", "COMPONENTS nothing"]
        if minor > 0:
            refused.append(f"{major}.{minor - 1}")
        said = output("cmake", "-S", CONSUMER.parent / "requests", "-B", self.scratch / "requests", "-G", "Ninja",
                      f"-DCMAKE_CXX_COMPILER={CXX}", f"-DCMAKE_PREFIX_PATH={self.prefix}",
                      f"-DREQUESTS={';'.join(granted + refused)}")
        answers = dict(re.findall(r"request '(.*)': (\d)", said))
        self.assertEqual(answers, {**{request: "1" for request in granted}, **{request: "0" for request in refused}})

    def test_pkg_config_gives_what_a_compiler_needs(self) -> None:
        environment = {"PKG_CONFIG_PATH": str(self.libdir / "pkgconfig")}
        self.assertEqual(output("pkg-config", "--modversion", "fireclaw", **environment).strip(), self.version)
        flags = output("pkg-config", *self.pkg_config, "--cflags", "--libs", "fireclaw", **environment).strip()
        program = self.scratch / "by-pkg-config"
        # pkg-config quotes for a shell.
        output("sh", "-c", f'exec "$0" -std=c++20 "$1" -o "$2" {flags}', CXX, CONSUMER / "consumer.cpp", program)
        self.check_consumer(program, LD_LIBRARY_PATH=str(self.libdir))

    def test_the_headers_are_all_the_public_ones(self) -> None:
        installed = {path.name for path in (self.prefix / "include").rglob("*") if path.is_file()}
        self.assertEqual(installed, {path.name for path in (SOURCE / "include/fireclaw").iterdir()})

    def test_the_library_runs_no_constructors_of_globals(self) -> None:
        # Boost.Asio's numbers of its services, which hold nothing and do nothing.
        # The two services are the gateway's proxy and its connections to IRC.
        found = sorted(re.findall(r"_GLOBAL__sub_I_(\S+)", output("nm", self.library)))
        self.assertEqual(found, ["relay.cpp", "server.cpp", "service.cpp", "service.cpp"])

    def test_the_programs_are_there_and_know_their_version(self) -> None:
        program = self.prefix / "bin/fireclaw"
        self.assertIn(self.version, output(program, "--version"))
        for name in ("overseer", "mcp"):
            self.assertIn(self.version, output(self.prefix / f"bin/fireclaw-{name}", "--version"))
        self.assertIn("--operator", output(program, "overseer", "--help"))
        self.assertIn("mcpServers", output(program, "mcp", "--help"))
        self.assertRegex(output("readelf", "-hW", program), r"Type:\s+DYN \(Position-Independent")
        guestd = self.prefix / "libexec/fireclaw/guestd"
        self.assertTrue(os.access(guestd, os.X_OK))
        self.assertNotIn("INTERP", output("readelf", "-lW", guestd))

    def test_the_manual_and_what_completes_lines_are_there(self) -> None:
        share = self.prefix / "share"
        for file in ("man/man1/fireclaw.1", "man/man1/fireclaw-run.1", "man/man1/fireclaw-overseer.1",
                     "man/man5/fireclaw-config.5", "bash-completion/completions/fireclaw",
                     "bash-completion/completions/fireclaw-overseer", "zsh/site-functions/_fireclaw",
                     "fish/vendor_completions.d/fireclaw.fish", "fish/vendor_completions.d/fireclaw-overseer.fish"):
            self.assertTrue((share / file).is_file(), file)
        self.assertIn(f"fireclaw {self.version}", (share / "man/man1/fireclaw.1").read_text())

    def test_what_goes_into_images_for_agents_is_there(self) -> None:
        agent = self.prefix / "share/fireclaw/agent"
        self.assertTrue((agent / "bot/__main__.py").is_file())
        self.assertTrue((agent / "root/etc/containers/containers.conf").is_file())
        self.assertTrue(os.access(agent / "root/usr/lib/fireclaw/agent/ssh-server", os.X_OK))
        self.assertEqual(list(agent.rglob("*.pyc")), [])

    def test_no_path_of_the_building_machine_is_in_any_file(self) -> None:
        found = [
            f"{path.relative_to(self.prefix)}: {needle}"
            for path in self.prefix.rglob("*")
            if path.is_file() and not path.is_symlink()
            for needle in (str(SOURCE), str(BUILD), str(self.scratch))
            if needle.encode() in path.read_bytes()
        ]
        self.assertEqual(found, [])

    def test_a_staged_install_stays_inside_its_stage(self) -> None:
        stage = self.scratch / "stage"
        output("cmake", "--install", BUILD, "--prefix", "/usr", DESTDIR=str(stage))
        self.assertEqual([path.name for path in stage.iterdir()], ["usr"])
        shutil.rmtree(stage)


class SharedPackage(Package):
    library_name = "libfireclaw.so"

    def test_the_library_exports_only_names_of_fireclaw(self) -> None:
        symbols = [line.split(" ", 2)[2] for line in output("nm", "-DC", "--defined-only", self.library).splitlines()]
        ours = re.compile(r"((typeinfo|typeinfo name|vtable) for )?fireclaw::|FIRECLAW_\d+$")
        self.assertEqual([name for name in symbols if not ours.match(name)], [])
        self.assertTrue(any(name.startswith("fireclaw::Host::open(") for name in symbols))

    def test_the_library_is_hardened_and_loads_little(self) -> None:
        dynamic = output("readelf", "-dW", self.library)
        self.assertIn(f"Library soname: [libfireclaw.so.{self.abi}]", dynamic)
        self.assertIn("BIND_NOW", dynamic)
        self.assertIn("GNU_RELRO", output("readelf", "-lW", self.library))
        # Each of these costs more time to load than all of fireclaw, or is not needed by a plain run.
        for heavy in ("libcares", "libcurl", "libcrypto", "libnftables", "libssh2"):
            self.assertNotIn(heavy, dynamic)


class StaticPackage(Package):
    library_name = "libfireclaw.a"
    pkg_config = ("--static",)

    def test_there_is_no_shared_library_beside_it(self) -> None:
        self.assertEqual(list(self.prefix.rglob("libfireclaw.so*")), [])
        self.assertNotIn("libfireclaw", output("readelf", "-dW", self.prefix / "bin/fireclaw"))

    def test_what_it_needs_is_asked_for_only_by_who_links_it_statically(self) -> None:
        environment = {"PKG_CONFIG_PATH": str(self.libdir / "pkgconfig")}
        plain = output("pkg-config", "--libs", "fireclaw", **environment).split()
        static = output("pkg-config", "--static", "--libs", "fireclaw", **environment).split()
        for needed in ("-lfmt", "-lsimdjson", "-lnettle", "-lnl-route-3"):
            self.assertNotIn(needed, plain)
            self.assertIn(needed, static)
        # These are loaded when they are first used.
        for loaded in ("-lcurl", "-lnftables"):
            self.assertNotIn(loaded, static)


if __name__ == "__main__":
    BUILD, SOURCE, CXX, KIND = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3], sys.argv[4]
    unittest.main(argv=[sys.argv[0], *(sys.argv[5:] or [f"{KIND}Package"])])

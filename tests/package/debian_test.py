#!/usr/bin/python3
"""Looks into the Debian packages that build_debian.sh made: what is in which, and whether lintian likes them.

usage: debian_test.py BUILD-FOLDER-OF-THE-PACKAGES SOURCE-FOLDER [unittest arguments]
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

from packages import debian_packages, output, run

BUILD, SOURCE = Path(), Path()

# What lintian says that is meant for uploads to Debian's own archive, which closes bugs about packages that are wanted.
NOT_FOR_US = ["initial-upload-closes-no-bugs"]


class DebianPackages(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-debian-")
        cls.addClassCleanup(folder.cleanup)
        cls.scratch = Path(folder.name)
        cls.packages = debian_packages(BUILD / "packages")
        cls.roots = {name: cls.scratch / name for name in cls.packages}
        for name, root in cls.roots.items():
            output("dpkg-deb", "--extract", cls.packages[name], root)
        header = (SOURCE / "include/fireclaw/version.hpp").read_text()
        cls.version = re.search(r'FIRECLAW_VERSION_STRING "(.+)"', header).group(1)
        cls.abi = re.search(r"FIRECLAW_(\d+) {", (SOURCE / "libfireclaw/exports.map").read_text()).group(1)
        cls.library = f"libfireclaw{cls.abi}"

    def field(self, package: str, field: str) -> str:
        return output("dpkg-deb", "--field", self.packages[package], field).strip()

    def files(self, package: str) -> set[str]:
        root = self.roots[package]
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or not path.is_dir()}

    def test_there_is_a_package_for_each_use_with_one_version(self) -> None:
        self.assertEqual(set(self.packages), {self.library, "libfireclaw-dev", "fireclaw", "fireclaw-overseer",
                                              "python3-fireclaw"})
        architecture = output("dpkg", "--print-architecture").strip()
        for name, file in self.packages.items():
            self.assertEqual(file.name, f"{name}_{self.version}-1_{architecture}.deb")
            self.assertEqual(self.field(name, "Version"), f"{self.version}-1")

    def test_all_that_is_installed_is_in_one_package(self) -> None:
        stage = self.scratch / "stage"
        output("cmake", "--install", BUILD, DESTDIR=str(stage))
        installed = {str(path.relative_to(stage)) for path in stage.rglob("*") if path.is_symlink() or not path.is_dir()}
        shutil.rmtree(stage)
        packaged = sorted(name for package in self.packages for name in self.files(package))
        self.assertEqual(len(packaged), len(set(packaged)), "a file is in two packages")
        # In packages these are copyright and changelog.gz.
        notices = {"usr/share/doc/fireclaw/LICENSE", "usr/share/doc/fireclaw/CHANGELOG.md"}
        self.assertEqual(installed - set(packaged), notices)
        self.assertEqual(set(packaged) - installed, set())

    def test_files_are_where_they_are_looked_for(self) -> None:
        triplet = output("dpkg-architecture", "--query", "DEB_HOST_MULTIARCH").strip()
        libdir = f"usr/lib/{triplet}"
        for package, file in [
            (self.library, f"{libdir}/libfireclaw.so.{self.abi}"),
            ("libfireclaw-dev", f"{libdir}/libfireclaw.so"),
            ("libfireclaw-dev", f"{libdir}/cmake/fireclaw/fireclawConfig.cmake"),
            ("libfireclaw-dev", f"{libdir}/pkgconfig/fireclaw.pc"),
            ("fireclaw", "usr/bin/fireclaw"),
            ("fireclaw", "usr/bin/fireclaw-mcp"),
            ("fireclaw", "usr/libexec/fireclaw/guestd"),
            ("fireclaw", "usr/libexec/fireclaw/fireclaw-netd"),
            ("fireclaw", "usr/share/fireclaw/agent/bot/__main__.py"),
            ("fireclaw", "usr/share/man/man1/fireclaw-run.1.gz"),
            ("fireclaw", "usr/share/man/man5/fireclaw-config.5.gz"),
            ("fireclaw", "usr/share/bash-completion/completions/fireclaw"),
            ("fireclaw", "usr/share/zsh/vendor-completions/_fireclaw"),
            ("fireclaw", "usr/share/fish/vendor_completions.d/fireclaw.fish"),
            ("fireclaw-overseer", "usr/bin/fireclaw-overseer"),
            ("fireclaw-overseer", "usr/share/man/man1/fireclaw-overseer.1.gz"),
            ("fireclaw-overseer", "usr/share/man/man1/fireclaw-irc.1.gz"),
            ("fireclaw-overseer", "usr/share/bash-completion/completions/fireclaw-overseer"),
            ("python3-fireclaw", "usr/lib/python3/dist-packages/fireclaw/py.typed"),
        ]:
            self.assertIn(file, self.files(package))

    def test_packages_ask_for_what_their_programs_link(self) -> None:
        self.assertRegex(self.field(self.library, "Depends"), r"\blibsimdjson\d+ ")
        # Loaded when first used, so that no tool sees it.
        for library in ("libc-ares2", "libcurl4", "libnftables1", "libssh2-1"):
            self.assertIn(library, self.field(self.library, "Recommends").split(", "))
        # A guest's process 1 and the library that talks to it come from one build.
        same = f"(= {self.version}-1)"
        for package in ("fireclaw", "libfireclaw-dev", "fireclaw-overseer", "python3-fireclaw"):
            self.assertIn(f"{self.library} {same}", self.field(package, "Depends").split(", "))
        self.assertIn(f"fireclaw {same}", self.field("python3-fireclaw", "Depends").split(", "))
        shlibs = output("dpkg-deb", "--info", self.packages[self.library], "shlibs")
        self.assertEqual(shlibs, f"libfireclaw {self.abi} {self.library} (>= {self.version})\n")

    def test_binaries_are_stripped_hardened_and_find_libraries_as_all_do(self) -> None:
        found = 0
        for root in self.roots.values():
            for path in root.rglob("*"):
                if path.is_symlink() or not path.is_file() or path.read_bytes()[:4] != b"\x7fELF":
                    continue
                found += 1
                self.assertNotIn(".debug_info", output("readelf", "-SW", path), path)
                self.assertNotRegex(output("readelf", "-dW", path), "RUNPATH|RPATH", path)
                if path.name != "guestd":
                    self.assertIn("BIND_NOW", output("readelf", "-dW", path), path)
        self.assertEqual(found, 8)

    def test_lintian_has_nothing_to_say(self) -> None:
        # Neither errors nor warnings; what is overridden says why in cmake/debian/.
        checked = run("lintian", "--fail-on", "error,warning", "--suppress-tags", ",".join(NOT_FOR_US),
                      *self.packages.values())
        self.assertEqual((checked.returncode, checked.stdout), (0, ""), checked.stderr)


if __name__ == "__main__":
    BUILD, SOURCE = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])

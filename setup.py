"""Builds the Python package for pip: what pyproject.toml cannot say.

CMake builds the module, the library and guestd and installs them into a stage; from there they go into the package, laid
out so that each finds the other by its own place: fireclaw/lib, fireclaw/libexec, fireclaw/share. CMAKE_ARGS in the
environment is passed on to CMake.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # before setuptools 70.1
    from wheel.bdist_wheel import bdist_wheel

SOURCE = Path(__file__).resolve().parent


def version() -> str:
    """From the only place where it is written."""
    header = (SOURCE / "include/fireclaw/version.hpp").read_text(encoding="utf-8")
    match = re.search(r'#define FIRECLAW_VERSION_STRING "([^"]+)"', header)
    if match is None:
        raise SystemExit("include/fireclaw/version.hpp: no FIRECLAW_VERSION_STRING")
    return match.group(1)


def pybind11_folder() -> list[str]:
    """Where pip put pybind11, if it did; a system's own is found without."""
    try:
        import pybind11
    except ImportError:
        return []
    return [f"-Dpybind11_DIR={pybind11.get_cmake_dir()}"]


class BuildByCMake(build_ext):
    def build_extension(self, ext: Extension) -> None:
        if self.inplace or getattr(self, "editable_mode", False):
            raise SystemExit("fireclaw cannot be installed in editable mode; use the build folder instead: cmake --preset dev "
                             "&& cmake --build --preset dev, then PYTHONPATH=build/dev/python")
        build = Path(self.build_temp).resolve()
        stage = build / "stage"
        shutil.rmtree(stage, ignore_errors=True)
        generator = ["-G", "Ninja"] if shutil.which("ninja") and "CMAKE_GENERATOR" not in os.environ else []
        self.cmake("-S", str(SOURCE), "-B", str(build), *generator, "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                   "-DBUILD_SHARED_LIBS=ON", "-DFIRECLAW_PYTHON_MODULE=ON", "-DFIRECLAW_PROGRAMS=OFF",
                   "-DFIRECLAW_TESTS=OFF", "-DFIRECLAW_WERROR=OFF", f"-DPython3_EXECUTABLE={sys.executable}",
                   f"-DCMAKE_INSTALL_PREFIX={stage}", "-DFIRECLAW_PYTHON_DIR=.", "-DCMAKE_INSTALL_LIBDIR=fireclaw/lib",
                   "-DCMAKE_INSTALL_LIBEXECDIR=fireclaw/libexec", "-DCMAKE_INSTALL_DATADIR=fireclaw/share",
                   *pybind11_folder(), *shlex.split(os.environ.get("CMAKE_ARGS", "")))
        self.cmake("--build", str(build), *(["--parallel"] if "CMAKE_BUILD_PARALLEL_LEVEL" not in os.environ else []))
        for component in ("library", "programs", "python"):
            self.cmake("--install", str(build), "--component", component, "--strip")
        self.collect(stage / "fireclaw", Path(self.get_ext_fullpath(ext.name)).resolve())

    def collect(self, stage: Path, module: Path) -> None:
        package = module.parent
        package.mkdir(parents=True, exist_ok=True)
        shutil.copy2(stage / module.name, module)
        for folder in ("libexec/fireclaw", "share/fireclaw"):
            shutil.rmtree(package / folder, ignore_errors=True)
            shutil.copytree(stage / folder, package / folder)
        # What CMake wrote from the C++ headers.
        shutil.copytree(stage / "_types", package / "_types", dirs_exist_ok=True)
        # A wheel has no links: the library is there once, by the name that the module asks for.
        shutil.rmtree(package / "lib", ignore_errors=True)
        (package / "lib").mkdir()
        library = next(path for path in (stage / "lib").glob("libfireclaw.so.*") if path.is_symlink())
        shutil.copy2(library.resolve(), package / "lib" / library.name)

    def cmake(self, *words: str) -> None:
        try:
            subprocess.run(["cmake", *words], check=True)
        except FileNotFoundError:
            raise SystemExit("building fireclaw takes CMake 3.25 or later; install it with: apt-get install cmake") from None


def needed_glibc(files: list[Path]) -> tuple[int, int]:
    """The newest version of the GNU C library that these files name a symbol of."""
    versions = {(int(major), int(minor)) for file in files
                for major, minor in re.findall(rb"\0GLIBC_(\d+)\.(\d+)", file.read_bytes())}
    return max(versions, default=(2, 5))


class TaggedWheel(bdist_wheel):
    """Says in its name which C library it needs at least, so that pip refuses it where that is older."""

    def get_tag(self) -> tuple[str, str, str]:
        python, abi, platform = super().get_tag()
        built = Path(self.get_finalized_command("build").build_lib) / "fireclaw"
        files = [*built.glob("_fireclaw.*.so"), *built.glob("lib/*.so.*")]
        if platform.startswith("linux_") and files:
            platform = "manylinux_{}_{}_{}".format(*needed_glibc(files), platform.removeprefix("linux_"))
        return python, abi, platform


setup(version=version(), ext_modules=[Extension("fireclaw._fireclaw", sources=[])],
      cmdclass={"build_ext": BuildByCMake, "bdist_wheel": TaggedWheel})

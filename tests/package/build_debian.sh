#!/bin/sh
# Makes the Debian packages that the tests look at, by the documented command: build_debian.sh SOURCE-FOLDER
# CXX and CMAKE_CXX_COMPILER_LAUNCHER are passed on by the environment. build/debian is as deep as the other presets'
# folders, so the compiler's cache, where there is one, gives what was compiled there.
set -eu
cd "$1"
export CCACHE_BASEDIR="$1" CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_PCH_EXTSUM=1
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
rm -f -- build/debian/packages/*.deb
exec cmake --workflow --preset debian

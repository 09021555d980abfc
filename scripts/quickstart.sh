#!/bin/bash
# From a fresh clone to a command in a microVM: installs Debian's packages, builds, prepares ~/.fireclaw, runs "uname -a",
# and builds the programs for agents and LLM clients. Safe to run again at any time; what is done already is not done twice.
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

install_packages "${build_packages[@]}" "${run_packages[@]}"
# A build folder that has the tests and the Python package keeps them; a new one need not have their dependencies.
if [[ -e $checkout/build/release/CMakeCache.txt ]]; then
  configure release
else
  configure release -DFIRECLAW_TESTS=OFF -DFIRECLAW_PYTHON_MODULE=OFF -DFIRECLAW_WERROR=OFF -DFIRECLAW_BATCHES=ON
fi
build release fireclaw_cli guestd

fireclaw=$checkout/build/release/bin/fireclaw
know_kernel_package
say "fireclaw setup"
"$fireclaw" setup </dev/null
say "fireclaw run --net none \"uname -a\""
# Without a network, so that nothing of this machine's own is changed by trying it.
"$fireclaw" run --net none "uname -a" </dev/null
build release all
say "done; the program is build/release/bin/fireclaw, to install it: cmake --install build/release --prefix PREFIX"

#!/bin/bash
# Installs what the tests need, builds them and runs them all. Safe to run again at any time.
#
# usage: scripts/test.sh [--preset dev|release|asan|tsan] [CTEST-ARGUMENT...]
#
# With arguments for ctest (-L unit, -R wire, ...) only those tests run; without, every label that must not be skipped
# has to have run. FIRECLAW_TEST_CACHE names the folder for what is costly to make (kernels, images); it is keyed by
# content and may be kept between checkouts.
#
# As many tests run at a time as there are cores. One or two of all tests that failed run again, alone: what a busy
# neighbour took the time from passes then, and is named in the summary. More than two are too many for that, and what
# sanitizers find is not looked at twice.
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

required_labels=(unit sys contract netns vm redteam agents python irc package)

preset=release
if [[ ${1:-} == --preset ]]; then
  preset=${2:?--preset needs a name}
  shift 2
fi

cache_home=${XDG_CACHE_HOME:-${HOME:-}/.cache}
if [[ $cache_home != /?* ]] || ! mkdir -p "$cache_home" 2>/dev/null; then
  cache_home=/var/tmp/fireclaw-$EUID
fi
export FIRECLAW_TEST_CACHE=${FIRECLAW_TEST_CACHE:-$cache_home/fireclaw}
mkdir -p "$FIRECLAW_TEST_CACHE"

install_packages "${build_packages[@]}" "${run_packages[@]}" "${test_packages[@]}"
know_kernel_package
# Whether the Python package can be built is found out again: its dependencies may just have come.
configure "$preset" -DFIRECLAW_TESTS=ON -UFIRECLAW_PYTHON_MODULE
build "$preset" all

say "testing build/$preset"
results=$checkout/build/$preset/results.xml
again=$checkout/build/$preset/results-again.xml
failed=$checkout/build/$preset/Testing/Temporary/LastTestsFailed.log
rm -f -- "$results" "$again" "$failed"
status=0
ctest --preset "$preset" --parallel "$(nproc)" --output-junit "$results" "$@" </dev/null || status=$?
if [[ $status -ne 0 && $# -eq 0 && $preset != *san && -s $failed && $(wc -l <"$failed") -le 2 ]]; then
  say "running again what failed"
  status=0
  ctest --preset "$preset" --rerun-failed --parallel 1 --output-junit "$again" </dev/null || status=$?
fi
say "tested"
required=()
if [[ $# -eq 0 ]]; then
  required=("${required_labels[@]}")
fi
python3 "$checkout/tests/support/summary.py" "$checkout/build/$preset" "$results" "$again" "${required[@]}" || status=1
exit "$status"

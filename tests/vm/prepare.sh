#!/bin/sh
# Prepares the home folder that the vm tests share: prepare.sh FIRECLAW FOLDER
# FIRECLAW_TEST_HOME names one that is prepared already, FIRECLAW_TEST_KERNEL a kernel to use instead of Debian's.
set -eu
fireclaw=$1
home=${FIRECLAW_TEST_HOME:-$2}
if [ -n "${FIRECLAW_TEST_CACHE:-}" ]; then
  export FIRECLAW_CACHE="$FIRECLAW_TEST_CACHE/downloads"
fi
set -- --home "$home" --engine "${FIRECLAW_TEST_ENGINE:-auto}"
if [ -n "${FIRECLAW_TEST_FIRECRACKER:-}" ]; then
  set -- "$@" --firecracker "$FIRECLAW_TEST_FIRECRACKER"
fi
if [ -n "${FIRECLAW_TEST_KERNEL:-}" ]; then
  exec "$fireclaw" "$@" setup --kernel "$FIRECLAW_TEST_KERNEL"
fi
exec "$fireclaw" "$@" setup

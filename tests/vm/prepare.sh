#!/bin/sh
# Prepares the home folder that the vm tests share: prepare.sh FIRECLAW FOLDER [OPTION-OF-SETUP...]
# FIRECLAW_TEST_HOME names one that is prepared already, FIRECLAW_TEST_KERNEL a kernel to use instead of Debian's.
set -eu
fireclaw=$1
home=${FIRECLAW_TEST_HOME:-$2}
shift 2
if [ -n "${FIRECLAW_TEST_CACHE:-}" ]; then
  export FIRECLAW_CACHE="$FIRECLAW_TEST_CACHE/downloads"
fi
if [ -n "${FIRECLAW_TEST_KERNEL:-}" ]; then
  set -- --kernel "$FIRECLAW_TEST_KERNEL" "$@"
fi
set -- setup "$@"
if [ -n "${FIRECLAW_TEST_FIRECRACKER:-}" ]; then
  set -- --firecracker "$FIRECLAW_TEST_FIRECRACKER" "$@"
fi
exec "$fireclaw" --home "$home" --engine "${FIRECLAW_TEST_ENGINE:-auto}" "$@"

#!/bin/sh
# Prepares a home folder for tests with machines: prepare.sh FIRECLAW FOLDER [--like FOLDER] [OPTION-OF-SETUP...]
# FIRECLAW_TEST_HOME names one that is prepared already, FIRECLAW_TEST_KERNEL a kernel to use instead of Debian's.
# With --like, the home is one more, which begins with the images and the engines of the other (or FIRECLAW_TEST_HOME).
set -eu
fireclaw=$1
home=$2
shift 2
if [ "${1:-}" = --like ]; then
  like=${FIRECLAW_TEST_HOME:-$2}
  shift 2
  mkdir -p "$home"
  chmod 700 "$home"
  mkdir -p "$home/images"
  cp "$like/config.json" "$home/config.json"
  for image in "$like/images"/*; do
    name=$(basename "$image")
    if ! cmp -s "$image/manifest.json" "$home/images/$name/manifest.json"; then
      rm -rf "${home:?}/images/$name"
      cp -al "$image" "$home/images/" || cp -a "$image" "$home/images/"
    fi
  done
else
  home=${FIRECLAW_TEST_HOME:-$home}
fi
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

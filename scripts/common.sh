# Shared by quickstart.sh and test.sh: which packages are needed, and how steps are run and shown.
# shellcheck shell=bash
# The lists of packages are used by the scripts that read this file.
# shellcheck disable=SC2034
set -euo pipefail

checkout=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
architecture=$(dpkg --print-architecture 2>/dev/null || true)
case $architecture in
  arm64) qemu_package=qemu-system-arm ;;
  *) qemu_package=qemu-system-x86 ;;
esac

# To compile it.
build_packages=(
  g++ cmake ninja-build pkgconf
  libfmt-dev libsimdjson-dev libcurl4-openssl-dev nettle-dev libssh2-1-dev libnl-route-3-dev libnftables-dev libgnutls28-dev
  libc-ares-dev libboost-dev libcli11-dev nlohmann-json3-dev python3
)
# To prepare ~/.fireclaw and run commands. The last four libraries are loaded only when they are used: no dependency of
# the program names them.
run_packages=("$qemu_package" busybox-static squashfs-tools e2fsprogs openssh-client ca-certificates libc-ares2
  libcurl4 libnftables1 libssh2-1 passt slirp4netns)
# To build and test all of it: the framework, the Python package's; what images are made of and looked into with; IRC
# servers, a cluster's scheduler; checkers; ccache, since Debian packages are made of a build of their own.
test_packages=(
  doctest-dev python3-yaml python3-pyhcl pybind11-dev python3-dev
  mmdebstrap uidmap umoci skopeo cpio xz-utils zstd lz4
  iproute2 nftables ngircd inspircd atheme-services openssl openssh-server systemd
  slurmctld slurmd slurm-client
  clang clang-format mypy shellcheck doxygen mandoc zsh fish
  lintian abigail-tools ccache python3-pip python3-setuptools python3-wheel
)
# The clients that `fireclaw mcp` is tested with come through npm. A Node.js from elsewhere brings its own, and conflicts
# with Debian's.
command -v npm >/dev/null || test_packages+=(npm)

started=$SECONDS

# say TEXT: one line, with the seconds since the start.
say() {
  printf '[%4d s] %s\n' "$((SECONDS - started))" "$*"
}

fail() {
  printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2
  exit 1
}

# step TEXT COMMAND...: says what it does; the command's output goes to a log file, shown only if it fails.
step() {
  local text=$1
  shift
  say "$text"
  mkdir -p "$checkout/build"
  local log=$checkout/build/step.log
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 60 -- "$log" >&2
    fail "failed: $text (all of the output is in $log)"
  fi
}

as_root() {
  if [[ $EUID -eq 0 ]]; then
    env "$@"
  elif command -v sudo >/dev/null; then
    sudo env "$@"
  else
    fail "packages must be installed: run this as root, or install sudo"
  fi
}

apt_get() {
  # Some machines have a repository configured that is out of reach: it may cost seconds, not minutes.
  as_root DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -y -q \
    -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 \
    -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@"
}

apt_install() {
  # Package lists may be missing or old, which shows only now; what counts is that the second try works.
  apt_get install --no-install-recommends "$@" || { apt_get update || true; apt_get install --no-install-recommends "$@"; }
}

# install_packages PACKAGE...: leaves apt alone when all of them are installed.
install_packages() {
  command -v dpkg-query >/dev/null || fail "this script knows Debian's packages only; see HACKING.md for what to install"
  local package missing=()
  declare -A installed=()
  while read -r package; do
    installed[$package]=1
  done < <(dpkg-query --show --showformat='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | sed -n 's/ installed$//p')
  for package in "$@"; do
    [[ ${installed[$package]:-} ]] || missing+=("$package")
  done
  if [[ ${#missing[@]} -eq 0 ]]; then
    say "packages: all there"
  else
    if [[ $EUID -ne 0 ]] && command -v sudo >/dev/null; then
      sudo -v
    fi
    step "packages: installing ${missing[*]}" apt_install "${missing[@]}"
  fi
}

# The guest's kernel is fetched through apt later, by what needs it; apt must know of it.
know_kernel_package() {
  apt-cache show "linux-image-cloud-$architecture" >/dev/null 2>&1 || step "packages: reading the lists" apt_get update
}

# configure PRESET ARGUMENT...
configure() {
  local preset=$1
  shift
  local launcher=()
  if command -v ccache >/dev/null; then
    # Relative paths, so that another checkout of the same sources finds the same objects.
    export CCACHE_BASEDIR=$checkout CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_PCH_EXTSUM=1
    launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  fi
  cd "$checkout"
  step "configuring build/$preset" cmake --preset "$preset" "${launcher[@]}" "$@"
}

# show_progress: a line for each tenth of ninja's way.
show_progress() {
  local line shown=0
  while IFS= read -r line; do
    if [[ $line =~ ^\[\ *([0-9]+)%\] ]] && ((BASH_REMATCH[1] / 10 > shown)); then
      shown=$((BASH_REMATCH[1] / 10))
      say "built $((shown * 10)) %"
    fi
  done
}

# build PRESET TARGET...: shows the progress; without a terminal in lines, and what the compiler says only if it fails.
build() {
  local preset=$1
  shift
  say "building build/$preset on $(nproc) cores"
  if compile "$preset" "$@"; then
    return
  fi
  # Headers of other versions of the libraries can clash where sources share a batch.
  grep -q '^FIRECLAW_BATCHES:BOOL=ON' "$checkout/build/$preset/CMakeCache.txt" || fail "the build failed"
  configure "$preset" -DFIRECLAW_BATCHES=OFF
  say "building again, each source by itself"
  compile "$preset" "$@" || fail "the build failed"
}

# compile PRESET TARGET...
compile() {
  local command=(cmake --build --preset "$1" --parallel "$(nproc)" --target "${@:2}")
  local log=$checkout/build/compile.log
  # The compiler asks the kernel for memory in large pages, of which it needs many.
  local -x GLIBC_TUNABLES=${GLIBC_TUNABLES:+$GLIBC_TUNABLES:}glibc.malloc.hugetlb=1
  if [[ -t 1 ]]; then
    NINJA_STATUS="[%p] " "${command[@]}" </dev/null
  elif ! NINJA_STATUS="[%p] " "${command[@]}" </dev/null 2>&1 | tee "$log" | show_progress; then
    tail -n 60 -- "$log" >&2
    return 1
  fi
}

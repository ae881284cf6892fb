# Shell library of the platform scripts: source it, then call its functions.
# Each script exits with 0 (passed), 77 (skipped, with a plain line that says why) or anything else (failed).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=${BITDROP_JOBS:-$(nproc)}

# Scratch folder of a script. BITDROP_SCRATCH keeps it between runs; else it is deleted when the script ends.
if [ -n "${BITDROP_SCRATCH:-}" ]; then
    scratch=$BITDROP_SCRATCH/$(basename "$0" .sh)
    mkdir -p "$scratch"
    scratch=$(cd "$scratch" && pwd)
    exec 9>"$scratch/lock"
    flock --nonblock 9 || { echo "Another run of this script uses $scratch" >&2 && exit 1; }
else
    scratch=$(mktemp -d)
    trap 'rm -rf --one-file-system "$scratch"' EXIT
fi

say() { printf -- '--- %s\n' "$*"; }

skip() {
    printf 'Skipped: %s\n' "$*"
    exit 77
}

have() { command -v "$1" >/dev/null; }

# Install Debian packages of this system, as root on such a system; elsewhere do nothing.
install_packages() {
    have apt-get && [ "$(id -u)" = 0 ] || return 0
    dpkg -s "$@" >/dev/null 2>&1 && return 0
    apt_install "$@" >/dev/null 2>&1 && return 0
    # The lists of packages may be missing or old.
    apt-get update -qq || true
    apt_install "$@" >/dev/null || say "Not all of these could be installed: $*"
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

# Skip unless every one of these commands exists.
need() {
    local command missing=()
    for command in "$@"; do have "$command" || missing+=("$command"); done
    [ ${#missing[@]} -eq 0 ] || skip "needs ${missing[*]}"
}

# Configure, build and, unless the third argument is "build", test a preset of CMakePresets.json.
# Arguments: preset, build folder, "test" or "build", then arguments of the configuration.
preset() {
    local name=$1 folder=$2 what=$3
    shift 3
    (cd "$root" && cmake --preset "$name" -B "$folder" "$@" >"$scratch/configure.log") ||
        { cat "$scratch/configure.log"; return 1; }
    cmake --build "$folder" -j "$jobs"
    [ "$what" = build ] || ctest --test-dir "$folder" --output-on-failure -j "$jobs"
}

# A virtual environment of this script, with the given packages: sets `python`.
virtual_environment() {
    [ -x "$scratch/venv/bin/python" ] || python3 -m venv "$scratch/venv" || skip "python3 has no venv"
    python=$scratch/venv/bin/python
    "$python" -m pip install -q --disable-pip-version-check "$@" || skip "pip cannot install: $*"
}

# Write a C++ compiler that calls ziglang (PyPI) for a target such as aarch64-macos: sets `compiler`, options of CMake.
zig_compiler() {
    local target=$1 folder=$scratch/zig-$1
    mkdir -p "$folder"
    # zig 0.17 crashes when it links what macOS calls a bundle; a dynamic library is loaded in the same way.
    cat >"$folder/c++" <<ZIG
#!/bin/bash
exec "$python" -m ziglang c++ -target $target "\${@/#-bundle/-dynamiclib}"
ZIG
    printf '#!/bin/sh\nexec "%s" -m ziglang ar "$@"\n' "$python" >"$folder/ar"
    printf '#!/bin/sh\nexec "%s" -m ziglang ranlib "$@"\n' "$python" >"$folder/ranlib"
    chmod +x "$folder"/*
    # Without a folder of its own, zig writes its cache into the home folder.
    export ZIG_GLOBAL_CACHE_DIR=$scratch/zig-cache ZIG_LOCAL_CACHE_DIR=$scratch/zig-cache
    compiler=(-DCMAKE_CXX_COMPILER="$folder/c++" -DCMAKE_AR="$folder/ar" -DCMAKE_RANLIB="$folder/ranlib")
}

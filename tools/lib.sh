# lib.sh - what tools/quickstart and tools/test share; sourced, never run.  Needs $root, the top of the repository.

# ---- the packages, the only place that names them (Debian 12, Ubuntu 24.04) ----
packages_build=(build-essential cmake ninja-build pkg-config ccache
    liburing-dev libssl-dev libcjson-dev libconfuse-dev libevent-dev libwebsockets-dev libuv1-dev libsqlite3-dev zlib1g-dev
    libcurl4-openssl-dev)
# libwebsockets opens this one at run time, so no tool can find out that it is needed.
packages_run=(libwebsockets-evlib-uv ca-certificates)
packages_test=(clang libcmocka-dev spin)
packages_node=(nodejs npm)
node_oldest=18

say() {
    printf '%s\n' "$*"
}
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# as_root COMMAND... - runs it, with sudo for an ordinary user.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root and there is no sudo; as root run: $*"
    fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
}

# need_packages NAME... - installs those that are missing.  Does nothing, and asks nobody, when none is.
need_packages() {
    local missing=() name status
    if ! command -v dpkg-query >/dev/null; then
        say "not a Debian system: make sure that you have the equivalents of: $*"
        return 0
    fi
    declare -A have=()
    while read -r name status; do
        [ "$status" = installed ] && have[$name]=1
    done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
    for name in "$@"; do
        [ -n "${have[$name]-}" ] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    if ! apt_install "${missing[@]}" >"$log_dir/apt.log" 2>&1; then
        # The lists may be missing, as in a fresh container, or old.
        as_root apt-get update >>"$log_dir/apt.log" 2>&1 || true
        if ! apt_install "${missing[@]}" >>"$log_dir/apt.log" 2>&1; then
            tail -n 20 "$log_dir/apt.log" >&2
            die "could not install ${missing[*]}; the whole output is in $log_dir/apt.log"
        fi
    fi
}

# need_node - a node that is new enough, with npm: what is there, else Debian's.
need_node() {
    local version
    version=$(node --version 2>/dev/null || true)
    version=${version#v}
    if [ -z "$version" ] || [ "${version%%.*}" -lt $node_oldest ] || ! command -v npm >/dev/null; then
        need_packages "${packages_node[@]}"
        hash -r
        version=$(node --version 2>/dev/null || true)
        version=${version#v}
        if [ -z "$version" ] || [ "${version%%.*}" -lt $node_oldest ]; then
            die "node is ${version:-missing}, the tests need $node_oldest or newer"
        fi
    fi
}

# configure NAME PRESET [CMAKE_ARGUMENT...] - configures build/NAME by a preset unless that was done already; a folder that was moved here is
# begun anew.
configure() {
    local dir=$root/build/$1 preset=$2
    shift
    if [ -f "$dir/CMakeCache.txt" ]; then
        if grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$dir/CMakeCache.txt" && [ -f "$dir/build.ninja" ] &&
            [ "$(cat "$dir/configured.with" 2>/dev/null)" = "$*" ]; then
            return 0
        fi
        rm -rf "$dir"
    fi
    if command -v ccache >/dev/null; then
        export CMAKE_C_COMPILER_LAUNCHER=ccache
    fi
    (cd "$root" && cmake --preset "$preset" -B "$dir" "${@:2}") || return 1
    printf '%s\n' "$*" >"$dir/configured.with"
}

# jobs_here - how many compilers at once.
jobs_here() {
    local count
    count=$(nproc 2>/dev/null || echo 2)
    [ "$count" -ge 2 ] || count=2
    echo "$count"
}

# lib.sh - what tools/quickstart and tools/test share; sourced, never run.  Needs $root, the top of the repository.

# ---- the packages, the only place that names them (Debian 12, Ubuntu 24.04) ----
packages_build=(build-essential cmake ninja-build pkg-config ccache
    liburing-dev libssl-dev libcjson-dev libconfuse-dev libevent-dev libwebsockets-dev libuv1-dev libsqlite3-dev zlib1g-dev
    libcurl4-openssl-dev libseccomp-dev libncurses-dev)
# libwebsockets opens this one at run time, so no tool can find out that it is needed.
packages_run=(libwebsockets-evlib-uv ca-certificates)
packages_test=(clang libcmocka-dev spin valgrind nginx-light haproxy sqlite3 openssl zsh mandoc tmux python3-autobahn)
packages_node=(nodejs npm)
packages_browser=(chromium) # 300 MB: the playground is a page
# tools/package makes packages with the first two and tests them with the others
packages_package=(dpkg-dev fakeroot)
packages_package_test=(mmdebstrap lintian)
# the peers that tools/bench measures umbel beside
packages_bench=(nginx-light libnginx-mod-nchan haproxy util-linux)
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

# fetch_promtool - Debian's promtool into build/tools, if there is none: unpacked from its package, which is not installed, for that would
# start a service of 90 MB.  One test wants it and is skipped without it, so this never fails.
fetch_promtool() {
    local to=$root/build/tools
    if command -v promtool >/dev/null || [ -x "$to/promtool" ]; then
        return 0
    fi
    mkdir -p "$to/promtool.new"
    (cd "$to/promtool.new" && apt-get download prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar x ./usr/bin/promtool &&
        mv usr/bin/promtool "$to/promtool") || say "no promtool: its test is skipped"
    rm -rf "$to/promtool.new"
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

# node_packages - those of the integration tests, when they or node have changed.  The mark is ours, made after a whole installation.
node_packages() {
    local mark=tests/integration/node_modules/.umbel-installed
    local want
    want=$(node --version && cat tests/integration/package.json tests/integration/package-lock.json | sha256sum)
    if [ "$(cat $mark 2>/dev/null)" != "$want" ]; then
        (cd tests/integration && npm ci --no-audit --no-fund) && printf '%s\n' "$want" >$mark
    fi
}

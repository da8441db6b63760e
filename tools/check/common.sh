# common.sh - what the checks of this folder share; sourced, never run.
#
# A check defines
#   check      looks at the tree in $root and prints a line "FILE:LINE: what, and what to do" for each violation
#   self_test  plants violations in small trees of its own and demands that each is found: `tree`, `put`, `red`, `green`
# and ends with `check_main "$@"`.  NAME runs it on the repository, NAME --root DIR on another tree, NAME --self-test tests the check.

set -euo pipefail
export LC_ALL=C.UTF-8
check_name=$(basename "$0")
check_self=$(cd "$(dirname "$0")" && pwd)/$check_name
check_tree=

# sources PATTERN... - the paths, relative to $root, of the files whose names match one of the patterns: nothing that a build made.
sources() {
    local names=() pattern
    for pattern in "$@"; do
        names+=(-o -name "$pattern")
    done
    (cd "$root" && find . \( -name .git -o -name node_modules -o -path ./build -o -path ./tests/fuzz/corpus \) -prune -o \
        -type f \( "${names[@]:1}" \) -print) | sed 's,^\./,,' | sort
}

check_run() {
    local found
    found=$(check)
    if [ -n "$found" ]; then
        printf '%s\n' "$found"
        printf '%s: %s violations\n' "$check_name" "$(printf '%s\n' "$found" | wc -l)" >&2
        return 1
    fi
}

# ---- self-test ----

# tree - a fresh, empty tree; put PATH - writes standard input into it.
tree() {
    check_clean
    check_tree=$(mktemp -d "${TMPDIR:-/tmp}/umbel-check.XXXXXX")
}
put() {
    mkdir -p "$check_tree/$(dirname "$1")"
    cat >"$check_tree/$1"
}

# green WHAT - the tree passes.  red TEXT - it fails, and says TEXT.
green() {
    if ! "$check_self" --root "$check_tree" >"$check_tree.out" 2>&1; then
        echo "not ok: $check_name finds fault with $1:" >&2
        cat "$check_tree.out" >&2
        return 1
    fi
    echo "ok: $1"
}
red() {
    local status=0
    "$check_self" --root "$check_tree" >"$check_tree.out" 2>&1 || status=$?
    if [ $status -ne 1 ] || ! grep -qF -- "$1" "$check_tree.out"; then
        echo "not ok: $check_name should say '$1', it ended with $status and said:" >&2
        cat "$check_tree.out" >&2
        return 1
    fi
    echo "ok, found: $1"
}
check_clean() {
    [ -z "$check_tree" ] || rm -rf "$check_tree" "$check_tree.out"
}

check_main() {
    case ${1-} in
    "")
        root=$(cd "$(dirname "$check_self")/../.." && pwd)
        check_run
        ;;
    --root)
        root=$(cd "$2" && pwd)
        check_run
        ;;
    --self-test)
        trap check_clean EXIT
        self_test
        ;;
    *)
        echo "usage: $check_name [--root DIR | --self-test]" >&2
        return 2
        ;;
    esac
}

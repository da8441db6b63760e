#!/bin/sh
# ring_spin.sh MODEL - checks ring.pml with spin in every interleaving: the true models must hold, each mutant must fail.
# Exit 0 all as expected, 1 not, 77 spin is not installed.
set -u
model=$(realpath "$1")
command -v spin >/dev/null && command -v "${CC:-cc}" >/dev/null || { echo "spin is not installed: skipped"; exit 77; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
bad=0

# check EXPECTED DEFINES...: EXPECTED is "holds" or "fails"
check() {
    expected=$1
    shift
    rm -f ./*
    spin -a "$@" "$model" >spin.log 2>&1 && "${CC:-cc}" -O1 -w -DSAFETY -o pan pan.c >>spin.log 2>&1 || { cat spin.log; bad=1; return; }
    ./pan -m100000 -n >pan.log 2>&1
    if grep -q "max search depth too small\|out of memory" pan.log; then
        found="not searched to the end"
    elif grep -q "errors: 0" pan.log; then
        found=holds
    elif grep -q "assertion violated" pan.log; then
        found=fails
    else
        found="neither"
    fi
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
    echo "$([ "$found" = "$expected" ] && echo ok || echo 'not ok') - ${*:-ring}: $found (${states:-?} states), expected: $expected"
    [ "$found" = "$expected" ] || { cat pan.log; bad=1; }
}

check holds
check fails -DNO_W1
check fails -DNO_R4
check fails -DHEAD_FIRST
check fails -DLAP_ANY
check holds -DWAKE
check fails -DWAKE -DNO_S2
check fails -DWAKE -DNO_S3
check fails -DWAKE -DNO_P2
exit $bad

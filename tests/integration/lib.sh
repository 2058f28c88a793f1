# What the scripts of this folder share; a script sources it. Tests are functions; `check "what it shows" function` runs
# one in a subshell under `set -e` and prints a line of TAP. Everything lives in $work, which goes at the end together with
# whatever still runs in the homes that were made here. MILLRACE_TEST_BIN: the folder of the programs (build/release/bin).
# shellcheck shell=bash
set -euo pipefail

tree=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
bin=${MILLRACE_TEST_BIN:-$tree/build/release/bin}
work=$(mktemp -d "${TMPDIR:-/tmp}/millrace-it-XXXXXX")
chmod 755 "$work" # the database's user must come in
number=0 bad=0
limit_s=120

cleanup() {
    local code=$? file
    trap - EXIT
    trap '' INT TERM HUP
    if declare -F at_exit >/dev/null; then at_exit || true; fi # what a script started by itself
    while IFS= read -r file; do
        timeout 60 "$bin/millrace" down --home "${file%/run}" >/dev/null 2>&1 || true
        timeout 60 "$tree/deploy/services" stop "${file%/run}" >/dev/null 2>&1 || true
    done < <(find "$work" -maxdepth 3 -type d -name run)
    rm -rf -- "$work"
    exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

[[ -x $bin/millrace && -x $bin/millrace-broker && -x $bin/millrace-worker ]] || {
    echo "Bail out! there are no programs in $bin"
    exit 1
}

# check WHAT FUNCTION [ARGUMENT...]
check() {
    local what=$1 rc=0
    shift
    number=$((number + 1))
    set +e
    (
        set -e
        "$@"
    ) >"$work/output" 2>&1
    rc=$?
    set -e
    if ((rc == 77)); then
        echo "ok $number - $what # SKIP $(tail -n 1 "$work/output")"
    elif ((rc)); then
        bad=$((bad + 1))
        echo "not ok $number - $what"
        echo "# status $rc; its output:"
        sed 's/^/#   /' "$work/output"
    else
        echo "ok $number - $what"
    fi
}

skip() {
    echo "$*"
    exit 77
}

finish() {
    echo "1..$number"
    exit $((bad > 0))
}

fail() {
    echo "FAIL: $*"
    exit 1
}

equal() { # WHAT GOT WANTED
    [[ $2 == "$3" ]] || fail "$1 is '$2', not '$3'"
}

# poll SECONDS COMMAND...: until the command succeeds.
poll() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < until)) || return 1
        sleep 0.05
    done
}

millrace() {
    timeout -k 5 "$limit_s" "$bin/millrace" "$@"
}

# The given status, and one sentence on stderr (beside log lines) that holds the pattern; nothing hangs.
refused() { # STATUS PATTERN COMMAND...
    local want=$1 pattern=$2 rc=0
    shift 2
    timeout -k 5 60 "$@" >"$work/stdout" 2>"$work/stderr" || rc=$?
    cat "$work/stderr"
    ((rc != 124 && rc != 137)) || fail "it hung: $*"
    if [[ $want == any ]]; then
        ((rc > 0 && rc < 128)) || fail "status $rc: $*"
    else
        equal "the status of '$*'" "$rc" "$want"
    fi
    equal "the number of lines on stderr" "$(grep -vc '^ts=' "$work/stderr" || true)" 1
    grep -qE -- "$pattern" "$work/stderr" || fail "the sentence does not match: $pattern"
    ! grep -qE 'Sanitizer|runtime error|core dumped|Assertion|backtrace' "$work/stderr"
}

# A home of its own: no other broker's address, no TCP port. use_home NAME
use_home() {
    home=$work/$1
    export MILLRACE_BROKER=ipc://$home/broker.sock
    mkdir -p "$home"
}

up() { # WORKERS
    millrace up --home "$home" --workers "$1"
}

down() {
    millrace down --home "$home"
}

sql() {
    local url
    url=$(sed -n 's/^MILLRACE_DATABASE_URL=//p' "$home/services.env")
    psql -XAtq -v ON_ERROR_STOP=1 "$url" -c "$1"
}

pid_of() {
    cut -d' ' -f1 "$home/run/$1.pid"
}

# A member of the JSON object on stdin.
member() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

not_running() { # PID: gone, or ended and not yet fetched by its parent
    [[ ! -e /proc/$1 ]] || grep -q '^State:.[ZX]' "/proc/$1/status" || fail "process $1 still runs"
}

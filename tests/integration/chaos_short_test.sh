#!/usr/bin/env bash
# The short set of tests/chaos: faults injected into real processes, nothing lost, nothing doubled. docs/CHAOS.md.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

[[ -x $bin/millrace-worker-chaos ]] || {
    echo "1..0 # SKIP there is no $bin/millrace-worker-chaos: configure with -DMILLRACE_CHAOS=ON"
    exit 0
}

short_set() {
    local rc=0
    TMPDIR=$work timeout -k 20 600 /usr/bin/python3 "$tree/tests/chaos/run" --short --bin "$bin" --seed 1 \
        --report "$work/report.json" 2>&1 || rc=$?
    equal "the status of the chaos run" "$rc" 0
}

# FAULT: its row of the table.
survived() {
    /usr/bin/python3 - "$work/report.json" "$1" <<'END'
import json, sys
report, name = json.load(open(sys.argv[1])), sys.argv[2]
rows = [r for r in report["faults"] if r["fault"] == name]
for row in rows:
    print(row)
sys.exit(not rows or any(r["lost"] or r["doubled"] or r["wrong"] for r in rows))
END
}

nothing_left() {
    ! pgrep -f "$work/millrace-chaos" || fail "processes were left"
    ! compgen -G "$work/millrace-chaos-*" || fail "files were left"
}

check "the short set runs to its end" short_set
while read -r name _ what; do
    check "$name $what" survived "$name"
done < <(/usr/bin/python3 "$tree/tests/chaos/run" --list --short)
check "no process and no file is left" nothing_left
finish

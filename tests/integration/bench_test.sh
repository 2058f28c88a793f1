#!/usr/bin/env bash
# tests/bench/run works and its checks hold; small and once. What it measures here says nothing.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

[[ -x $bin/millrace-worker-bench ]] || {
    echo "1..0 # SKIP there is no $bin/millrace-worker-bench: configure with -DMILLRACE_BENCH=ON"
    exit 0
}

bench() {
    TMPDIR=$work timeout -k 20 300 /usr/bin/python3 "$tree/tests/bench/run" --quick --rounds 1 --bin "$bin" "$@"
}

every_measure_is_taken() {
    bench --json "$work/bench.json"
    /usr/bin/python3 - "$work/bench.json" <<'END_PY'
import json, sys
figures = json.load(open(sys.argv[1]))["figures"]
wanted = {"drain", "drain_cold", "tasks_a_message", "submit", "submit_drain", "single_p50",
          "ingest", "plan", "map", "merge", "whole", "queue_500", "zmq_8", "copy_300_1000", "wake", "total_us"}
assert wanted <= set(figures), wanted - set(figures)
assert all(f["median"] > 0 for f in figures.values()), figures
assert set(figures["drain"]["shares"]) == {"queue_500", "zmq_same"}
END_PY
}

a_result_compares_with_itself() {
    /usr/bin/python3 "$tree/tests/bench/run" --scorecard "$work/bench.json" "$work/bench.json" >"$work/card"
    grep -q '^drain .* 1.00  within the noise' "$work/card" || fail "$(cat "$work/card")"
}

nothing_is_left() {
    ! compgen -G "$work/millrace-bench-*" || fail "files were left"
}

check "every measure is taken and every answer is right" every_measure_is_taken
check "a result compared with itself shows no change" a_result_compares_with_itself
check "no file is left" nothing_is_left
finish

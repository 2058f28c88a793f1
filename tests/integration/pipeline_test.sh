#!/usr/bin/env bash
# The whole way: rows in, the standard pipeline, findings out; the same bytes with any number of workers and any crash.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
components="structural_analyzer linguistic_analyzer dimensionality_reducer context_learner failure_mode_analyzer statistical_validator"
batch=2 # small, so that a run lasts long enough to be disturbed
use_home pipeline

submit() {
    millrace run --batch-size "$batch" --seed 5 --detach --json | member run
}

ended() { # RUN
    [[ $(sql "select count(*) from millrace.run_end where run_id = $1") == 1 ]]
}

results_reach() { # RUN COUNT
    (($(sql "select count(*) from millrace.result where run_id = $1") >= $2))
}

await() { # RUN
    poll 180 ended "$1" || fail "run $1 does not end"
    equal "the state of run $1" "$(millrace runs show "$1" --json | member state)" succeeded
}

hashes() { # RUN: every result, partial ones too
    sql "select step, level, batch, encode(body_hash, 'hex') from millrace.result where run_id = $1 order by 1, 2, 3"
}

same_as_first() { # RUN
    hashes "$1" >"$work/hashes"
    [[ -s $work/hashes ]] || fail "run $1 has no results"
    diff "$work/first" "$work/hashes"
}

rows_come_in() {
    up 2
    millrace sample --rows 5000 --seed 3 --output "$work/rows.jsonl"
    millrace ingest "$work/rows.jsonl" --json >"$work/summary"
    equal read "$(member read <"$work/summary")" 5000
    equal rejected "$(member rejected <"$work/summary")" 0
    equal "rows in the table" "$(sql 'select count(*) from millrace.training_prompts')" "$(member stored <"$work/summary")"
}

findings_come_out() {
    local run name
    run=$(millrace run --batch-size "$batch" --seed 5 --name first --json | member run)
    await "$run"
    millrace results "$run" >"$work/findings"
    for name in $components; do
        grep -q "^$name" "$work/findings" || fail "there is nothing about $name"
    done
    ! grep -q 'no result' "$work/findings"
    millrace results "$run" --json | python3 -c 'import json, sys; assert json.load(sys.stdin)'
    hashes "$run" >"$work/first"
    equal "components with results" "$(cut -d'|' -f1 "$work/first" | sort -u | wc -l)" 6
}

again_is_the_same() { # WORKERS
    local run
    down
    up "$1"
    run=$(submit)
    await "$run"
    same_as_first "$run"
}

# With most of the run still to come, or the test would show nothing.
disturb_early() { # RUN
    poll 60 results_reach "$1" 20 || fail "run $1 does not start"
    ! ended "$1" || fail "run $1 ended before it was disturbed: make it longer"
}

a_killed_worker_changes_nothing() {
    local run
    down
    up 2
    run=$(submit)
    disturb_early "$run"
    kill -9 "$(pid_of worker-1)"
    await "$run"
    same_as_first "$run"
}

a_killed_broker_changes_nothing() {
    local run
    down
    up 2
    run=$(submit)
    disturb_early "$run"
    kill -9 "$(pid_of broker)"
    up 2
    await "$run"
    same_as_first "$run"
    equal "doubled results" "$(sql "select count(*) - count(distinct (step, level, batch)) from millrace.result where run_id = $run")" 0
}

no_redis_changes_nothing() {
    local run
    run=$(submit)
    disturb_early "$run"
    kill -9 "$(pid_of redis)"
    await "$run"
    same_as_first "$run"
}

it_ends_cleanly() {
    local pids pid
    pids=$(cat "$home"/run/{broker,worker-1,worker-2,postgres}.pid | cut -d' ' -f1)
    down
    for pid in $pids; do not_running "$pid"; done
    ! grep -hE 'Sanitizer|runtime error' "$home"/log/*.log
    down
}

check "rows come in" rows_come_in
check "a run gives findings of all six components" findings_come_out
check "one worker gives the same bytes" again_is_the_same 1
check "eight workers give the same bytes" again_is_the_same 8
check "a worker killed in mid-run changes nothing" a_killed_worker_changes_nothing
check "a broker killed in mid-run changes nothing" a_killed_broker_changes_nothing
check "Redis killed in mid-run changes nothing" no_redis_changes_nothing
check "down ends everything and reports no fault of memory" it_ends_cleanly
finish

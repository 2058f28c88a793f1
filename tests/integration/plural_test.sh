#!/usr/bin/env bash
# Two and three real brokers and several workers on one database: shares, hand-over, takeover, a broker that is paused, and
# the same bytes as one broker gives.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
use_home plural
lease_s=6
components=(-c structural_analyzer -c dimensionality_reducer) # one that maps, one that merges
declare -A broker_pid worker_pid

at_exit() {
    local pid
    for pid in "${broker_pid[@]}" "${worker_pid[@]}"; do
        kill -CONT "$pid" 2>/dev/null || true
        kill -9 "$pid" 2>/dev/null || true
    done
    "$tree/deploy/services" stop "$home" >/dev/null 2>&1 || true
}

address() { # NAME
    echo "ipc://$home/$1.sock"
}

start_broker() { # NAME
    MILLRACE_BROKER='' "$bin/millrace-broker" --listen "$(address "$1")" --events "ipc://$home/$1.events" --name "$1" \
        --lease-s $lease_s --grace-s 10 --lost-after-ms 1000 --heartbeat-ms 200 2>>"$home/$1.log" &
    broker_pid[$1]=$!
}

start_worker() { # NAME BROKER...
    local name=$1 flags=() broker
    shift
    for broker; do flags+=(--broker "$(address "$broker")"); done
    "$bin/millrace-worker" "${flags[@]}" --name "$name" --threads 2 2>>"$home/$name.log" &
    worker_pid[$name]=$!
}

owns() { # NAME
    sql "select count(*) from millrace.partition_lease where owner = '$1' and expires_at > now()"
}

owns_now() { # NAME COUNT
    [[ $(owns "$1") == "$2" ]]
}

reads_all() { # NAME COUNT: the runs of what it owns are read
    [[ $(millrace status --broker "$(address "$1")" --json 2>/dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["broker"]["partitions"])') == "$2" ]]
}

# The workers are with the broker.
knows_components() { # NAME
    [[ $(millrace workers --broker "$(address "$1")" --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))') == 3 ]]
}

# Ends it, if it has not ended, and starts another of that name: its address must be free.
start_again() { # NAME
    kill "${broker_pid[$1]}" 2>/dev/null || true
    wait "${broker_pid[$1]}" 2>/dev/null || true
    start_broker "$1"
    poll 20 reads_all "$1" 8
    poll 20 knows_components "$1"
}

submit() { # BROKER OPTION...
    local broker=$1
    shift
    millrace run "${components[@]}" --detach --json --broker "$(address "$broker")" "$@" | member run
}

ended() { # RUN...
    local list=$*
    [[ $(sql "select count(*) from millrace.run_end where state = 'succeeded' and run_id in (${list// /,})") == $# ]]
}

# The results of a run as one hash: their places and the bytes.
bytes_of() { # RUN
    sql "select md5(string_agg(step || ':' || level || ':' || batch || ':' || encode(body_hash, 'hex'), ' ' order by step, level, batch))
         from millrace.result where run_id = $1"
}

whole() { # RUN...: one row for each batch, and as one broker alone would have written it
    local run
    for run; do
        equal "batches of run $run" "$(sql "select count(*) from millrace.result where run_id = $run")" "$batches"
        equal "the bytes of run $run" "$(bytes_of "$run")" "$reference"
    done
}

some_results() { # RUN COUNT
    (($(sql "select count(*) from millrace.result where run_id = $1") >= $2))
}

a_single_broker_owns_all() {
    poll 20 reads_all one 16
    millrace sample --rows 2000 --seed 5 --output "$work/rows.jsonl" --broker "$(address one)"
    millrace ingest "$work/rows.jsonl" --broker "$(address one)" >/dev/null
    poll 20 reads_all one 16
    poll 20 knows_components one
    local run
    run=$(submit one --batch-size 10)
    poll 60 ended "$run"
    bytes_of "$run" >"$work/reference"
    sql "select count(*) from millrace.result where run_id = $run" >"$work/batches"
}

a_second_broker_gets_its_half() {
    poll 20 reads_all two 8
    poll 20 reads_all one 8
    equal "runs go into one's own share" "$(sql "select owner from millrace.run join millrace.partition_lease using (partition) where id = $(submit two --batch-size 1000)")" two
    millrace brokers --broker "$(address two)" | tee "$work/brokers"
    grep -q '^one .*serving .*0,1,2,3,4,5,6,7 ' "$work/brokers"
    grep -q '^two .*serving .*8,9,10,11,12,13,14,15 ' "$work/brokers"
    millrace doctor --broker "$(address two)" | grep -q '2 share the work'
}

runs_on_both_end_with_the_same_bytes() {
    local runs=() i
    for i in 1 2 3 4; do runs+=("$(submit one --batch-size 10)" "$(submit two --batch-size 10)"); done
    poll 90 ended "${runs[@]}"
    whole "${runs[@]}"
}

# The first broker named does not answer.
a_client_finds_the_broker_that_answers() {
    local run
    run=$(millrace run "${components[@]}" --batch-size 10 --detach --json --broker "ipc://$home/nobody.sock" --broker "$(address two)" | member run)
    poll 60 ended "$run"
    whole "$run"
    # any broker shows, pauses and cancels it
    millrace runs show "$run" --broker "$(address one)" >/dev/null
    run=$(submit two --batch-size 1)
    millrace cancel "$run" --broker "$(address one)"
    poll 20 sql_true "select exists (select 1 from millrace.run_end where run_id = $run and state = 'cancelled')"
}

# The first of its addresses is a broker that has no part in the stream.
a_producer_finds_the_broker_that_owns_its_stream() {
    local run tasks=5 i
    run=$(millrace stream open --component structural_analyzer --json --broker "$(address two)" | member run)
    equal "its owner" "$(sql "select owner from millrace.run join millrace.partition_lease using (partition) where id = $run")" two
    for ((i = 0; i < tasks; i++)); do echo "{\"prompt\": [\"Say $i in one line.\"]}"; done >"$work/tasks"
    millrace submit "$run" --wait --broker "$(address one)" --broker "$(address two)" <"$work/tasks" >"$work/answers"
    equal "answers" "$(wc -l <"$work/answers")" $tasks
    millrace stream close "$run" --broker "$(address two)" >/dev/null
    poll 20 ended "$run"
}

sql_true() {
    [[ $(sql "$1") == t ]]
}

a_killed_broker_is_taken_over() {
    local runs=() i
    for i in 1 2 3; do runs+=("$(submit two --batch-size 10)"); done
    poll 30 some_results "${runs[0]}" 5
    kill -9 "${broker_pid[two]}"
    poll $((2 * lease_s)) owns_now one 16
    poll 90 ended "${runs[@]}"
    whole "${runs[@]}"
    millrace brokers --broker "$(address one)" | grep -q '^two .*silent'
    refused 10 'failed' "$bin/millrace" doctor --broker "$(address one)"
    grep -q 'silent: two at' "$work/stdout"
}

# Not by the lease's end: it gives back what it has.
a_stopped_broker_hands_over_at_once() {
    local runs=() i at
    for i in 1 2 3; do runs+=("$(submit two --batch-size 10)"); done
    poll 30 some_results "${runs[0]}" 5
    at=$(date +%s%N)
    kill "${broker_pid[two]}"
    poll 20 owns_now one 16
    at=$((($(date +%s%N) - at) / 1000000))
    echo "handed over in $at ms"
    ((at < lease_s * 1000)) || fail "it took $at ms"
    poll 90 ended "${runs[@]}"
    whole "${runs[@]}"
}

# It may hold results and a transaction when it is stopped; continued, it is fenced, forgets, and gets a share again.
a_paused_broker_writes_nothing_and_rejoins() {
    local runs=() i before
    for i in 1 2 3; do runs+=("$(submit two --batch-size 10)"); done
    poll 30 some_results "${runs[0]}" 5
    kill -STOP "${broker_pid[two]}"
    poll $((lease_s + 20)) owns_now one 16
    poll 90 ended "${runs[@]}"
    before=$(sql "select count(*) from millrace.result")
    kill -CONT "${broker_pid[two]}"
    poll 20 owns_now two 8
    equal "results" "$(sql "select count(*) from millrace.result")" "$before"
    kill -0 "${broker_pid[two]}"
    whole "${runs[@]}"
    poll 20 reads_all two 8
    poll 20 knows_components two
    runs=("$(submit two --batch-size 10)")
    poll 60 ended "${runs[@]}"
    whole "${runs[@]}"
}

a_third_broker_gets_its_share_under_load() {
    local runs=() i
    for i in 1 2 3 4 5 6; do runs+=("$(submit one --batch-size 10)"); done
    poll 20 owns_now three 5
    poll 90 ended "${runs[@]}"
    whole "${runs[@]}"
    equal "all of it is owned" "$(($(owns one) + $(owns two) + $(owns three)))" 16
    equal "the share of one" "$(owns one)" 6
}

"$tree/deploy/services" start "$home" >/dev/null
set -a
# shellcheck disable=SC1091
source "$home/services.env"
set +a
millrace migrate up >/dev/null
start_broker one
for w in w1 w2 w3; do start_worker $w one two three; done
check "a single broker owns all of the work" a_single_broker_owns_all
reference=$(cat "$work/reference") batches=$(cat "$work/batches")
start_broker two
poll 20 knows_components two
check "a second broker gets its half" a_second_broker_gets_its_half
check "runs on two brokers end with the bytes that one gives" runs_on_both_end_with_the_same_bytes
check "a client finds the broker that answers, and any broker takes its word" a_client_finds_the_broker_that_answers
check "a producer finds the broker that owns its stream" a_producer_finds_the_broker_that_owns_its_stream
check "the runs of a killed broker end on the other" a_killed_broker_is_taken_over
start_again two
check "a broker that is stopped hands over faster than its lease ends" a_stopped_broker_hands_over_at_once
start_again two
check "a paused broker writes nothing when it goes on, and rejoins" a_paused_broker_writes_nothing_and_rejoins
start_broker three
check "a third broker gets its share under load" a_third_broker_gets_its_share_under_load
finish

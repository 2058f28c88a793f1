#!/usr/bin/env bash
# Streams on real processes: tasks from files and standard input, results, resending, a broker that is killed meanwhile, and
# input that is no task.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
use_home submit
component=structural_analyzer

stream() { # OPTION...
    millrace stream open -c "$component" --json "$@" | member run
}

# make_tasks COUNT: a line each, with the ids t1, t2, ...
make_tasks() {
    python3 -c '
import json, sys
for i in range(1, int(sys.argv[1]) + 1):
    print(json.dumps({"id": f"t{i}", "prompt": [f"Say what is in box {i}."] * (1 + i % 3)}))' "$1"
}

ended() { # RUN
    [[ $(sql "select count(*) from millrace.run_end where run_id = $1") == 1 ]]
}

close_and_wait() { # RUN STATE
    millrace stream close "$1" >/dev/null
    poll 60 ended "$1" || fail "stream $1 does not end"
    equal "the state of stream $1" "$(sql "select state from millrace.run_end where run_id = $1")" "$2"
}

blocks() { # RUN
    sql "select count(*) from millrace.task_block where run_id = $1"
}

# every_task_once RUN COUNT: the producer's ids and the stored ones are the same set, and each has one result.
every_task_once() {
    sql "select unnest(ids) from millrace.task_block where run_id = $1" | sort >"$work/stored"
    seq -f 't%.0f' 1 "$2" | sort >"$work/sent"
    cmp "$work/sent" "$work/stored" || fail "the stored ids are not those that were sent"
    equal "numbers without a gap" "$(sql "select max(first_task + tasks) = sum(tasks) from millrace.task_block where run_id = $1")" t
    equal "results" "$(sql "select count(*), count(distinct batch), max(batch) from millrace.result where run_id = $1")" "$2|$2|$(($2 - 1))"
}

tasks_come_in_and_are_found() {
    up 2
    run=$(stream --name boxes)
    make_tasks 500 >"$work/tasks.jsonl"
    equal stored "$(millrace submit "$run" --input "$work/tasks.jsonl" --json | member stored)" 500
    poll 60 eval '[[ $(millrace task $run t500 --json | member state) == done ]]' || fail "task t500 is not done"
    equal "its number" "$(millrace task "$run" t500 --json | member task)" 499
    equal "prompts in task t2" "$(millrace task "$run" 1 --body --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["body"]["rows"])')" 3
    close_and_wait "$run" succeeded
    every_task_once "$run" 500
    millrace runs >/dev/null
    millrace results "$run" | grep -q "over 500 rows in 500 batches"
    millrace report "$run" --output "$work/report.html"
}

a_producer_gets_its_results() {
    run=$(stream)
    make_tasks 60 | millrace submit "$run" --input - --single --wait >"$work/results"
    equal "tasks with a result" "$(python3 -c '
import json, sys
r = [json.loads(l) for l in open(sys.argv[1])]
assert all(x["status"] == "OK" and x["result"]["rows"] == 1 + (x["task"] + 1) % 3 for x in r), r[:3]
print(len({x["task"] for x in r}))' "$work/results")" 60
    close_and_wait "$run" succeeded
}

the_same_under_a_key_is_stored_once() {
    run=$(stream)
    equal stored "$(millrace submit "$run" --input "$work/tasks.jsonl" --key monday --json | member stored)" 500
    equal "there already" "$(millrace submit "$run" --input "$work/tasks.jsonl" --key monday --json | member existed)" 500
    millrace submit "$run" --input "$work/tasks.jsonl" --key monday --wait >"$work/results"
    equal "results of what was there" "$(wc -l <"$work/results")" 500
    head -n 100 "$work/tasks.jsonl" >"$work/fewer.jsonl"
    refused 5 "sent other tasks before" "$bin/millrace" submit "$run" --input "$work/fewer.jsonl" --key monday
    close_and_wait "$run" succeeded
    every_task_once "$run" 500
}

nothing_is_lost_or_doubled_when_the_broker_is_killed() {
    local rc=0
    run=$(stream)
    make_tasks 3000 >"$work/many.jsonl"
    "$bin/millrace" submit "$run" --input "$work/many.jsonl" --single --window 64 --json >"$work/told" 2>"$work/stderr" &
    for at in 150 900; do
        poll 60 eval '(($(blocks $run) >= at))' || fail "nothing is stored"
        kill -9 "$(pid_of broker)"
        up 2 >/dev/null
    done
    wait $! || rc=$?
    cat "$work/stderr"
    equal "the status of submit" "$rc" 0
    equal "tasks that were read" "$(member read <"$work/told")" 3000
    close_and_wait "$run" succeeded
    every_task_once "$run" 3000
}

a_producer_that_waits_survives_it_too() {
    local rc=0
    run=$(stream)
    make_tasks 1000 >"$work/many.jsonl"
    "$bin/millrace" submit "$run" --input "$work/many.jsonl" --single --window 8 --wait >"$work/results" 2>"$work/stderr" &
    poll 60 eval '(($(blocks $run) >= 200))' || fail "nothing is stored"
    kill -9 "$(pid_of broker)"
    up 2 >/dev/null
    wait $! || rc=$?
    cat "$work/stderr"
    equal "the status of submit" "$rc" 0
    equal "results" "$(python3 -c 'import json, sys; print(len({json.loads(l)["task"] for l in open(sys.argv[1])}))' "$work/results")" 1000
    equal "lines" "$(wc -l <"$work/results")" 1000
    close_and_wait "$run" succeeded
    every_task_once "$run" 1000
}

matrices_need_no_json() {
    python3 -c '
import random, struct, sys
random.seed(4)
sys.stdout.buffer.write(b"".join(struct.pack("<f", random.random()) for _ in range(10 * 32 * 31)))' >"$work/ten.f32"
    run=$(stream) # which wants prompts
    refused 3 "no column 'prompt'" "$bin/millrace" submit "$run" --input "$work/ten.f32" --matrix 32x31
    refused 2 "is not ROWSxCOLUMNS" "$bin/millrace" submit "$run" --input "$work/ten.f32" --matrix 32by31
    head -c 5000 "$work/ten.f32" >"$work/short.f32"
    refused any "ends 1032 bytes into task 1" "$bin/millrace" submit "$run" --input "$work/short.f32" --matrix 32x31
    equal stored "$(blocks "$run")" 0
    close_and_wait "$run" succeeded
}

wrong_input_is_refused_with_words() {
    run=$(stream)
    printf '%s\n' '{"prompt": ["good"]}' 'no json' '[1]' '{}' '{"prompt": "one"}' '{"prompt": []}' '{"prompt": [1]}' \
        '{"promt": ["x"]}' '{"prompt": ["a", "b"], "score": [1]}' '{"features": [[1, 2], [3]]}' '{"features": [[1]], "names": ["a", "b"]}' \
        '{"prompt": ["good too"]}' >"$work/wrong.jsonl"
    local rc=0
    "$bin/millrace" submit "$run" --input "$work/wrong.jsonl" --json >"$work/told" 2>"$work/stderr" || rc=$?
    cat "$work/stderr"
    equal "the status" "$rc" 19
    equal "stored, refused" "$(member stored <"$work/told"),$(member refused <"$work/told")" "2,10"
    for words in ':2: ' ':3: a task is a JSON object' ':4: a task needs' ':5: .*not a list' ':6: .*no rows' ':7: .*a text or null' \
        ':8: .*did you mean "prompt"' ':9: .*has 1 rows' ':10: .*row 2' ':11: .*2 names'; do
        grep -q "wrong.jsonl$words" "$work/stderr" || fail "nothing is said of $words"
    done
    refused 4 "no stream 999 is open" "$bin/millrace" submit 999 --input "$work/tasks.jsonl"
    refused 4 "there is no component" "$bin/millrace" stream open -c structural_analyser
    refused 2 "needs --component" "$bin/millrace" stream open
    refused 3 "run it over a data set" "$bin/millrace" stream open -c dimensionality_reducer
    refused 4 "cannot read|no such|not" "$bin/millrace" submit "$run" --input "$work/nowhere.jsonl"
    refused 4 "has no task" "$bin/millrace" task "$run" nobody
    close_and_wait "$run" succeeded
    refused 4 "no stream $run is open" "$bin/millrace" submit "$run" --input "$work/tasks.jsonl"
    refused 4 "no stream $run is open" "$bin/millrace" stream close "$run"
}

check "tasks come in, are worked off and found by number and id" tasks_come_in_and_are_found
check "a producer gets its results as they are committed" a_producer_gets_its_results
check "the same submission under a key is stored once" the_same_under_a_key_is_stored_once
check "a broker killed in mid-submit loses and doubles no task" nothing_is_lost_or_doubled_when_the_broker_is_killed
check "a producer that waits gets every result once, though the broker is killed" a_producer_that_waits_survives_it_too
check "matrices are sent as they are" matrices_need_no_json
check "wrong input is refused with words" wrong_input_is_refused_with_words
finish

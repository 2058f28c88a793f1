#!/usr/bin/env bash
# Delivery on real processes: dead letters, pauses, limits, priorities, submission by key, schedules and the watchdog.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
use_home delivery
component=structural_analyzer

submit() { # OPTION...
    millrace run -c "$component" --detach --json "$@" | member run
}

ended() { # RUN
    [[ $(sql "select count(*) from millrace.run_end where run_id = $1") == 1 ]]
}

state_is() { # RUN STATE
    poll 60 ended "$1" || fail "run $1 does not end"
    equal "the state of run $1" "$(millrace runs show "$1" --json | member state)" "$2"
}

count() { # RUN
    sql "select count(*) from millrace.result where run_id = $1"
}

reach() { # RUN COUNT
    (($(count "$1") >= $2))
}

# Rows that are not in the table make every load fail until they are back; all, or the first of a version.
hide_rows() { # [COUNT]
    sql "create table public.hidden as select * from millrace.version_rows where version_id = (select max(id) from millrace.dataset_version);
         update millrace.version_rows set row_ids = array(select case when i <= ${1:-1000000} then -x else x end
                                                          from unnest(row_ids) with ordinality u (x, i))
         where version_id in (select version_id from public.hidden)"
}

show_rows() {
    sql "update millrace.version_rows v set row_ids = h.row_ids from public.hidden h where h.version_id = v.version_id and h.chunk = v.chunk;
         drop table public.hidden"
}

fresh_version() { # SEED
    millrace sample --rows 300 --seed "$1" --output "$work/more.jsonl"
    millrace ingest "$work/more.jsonl" >/dev/null
    run=$(submit --batch-size 1000)
    state_is "$run" succeeded
    down # what is read once stays in the broker's memory
    up 2
}

rows_come_in() {
    up 2
    millrace sample --rows 600 --seed 3 --output "$work/rows.jsonl"
    millrace ingest "$work/rows.jsonl" >/dev/null
}

dead_letters_are_listed_replayed_and_discarded() {
    local run id
    fresh_version 11
    hide_rows
    run=$(submit --batch-size 100)
    state_is "$run" failed
    equal "batches given up" "$(millrace dead list --run "$run" --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" 9
    equal "found by a text" "$(millrace dead list --search 'ROWS WERE DELETED' --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" 9
    equal "not found by another" "$(millrace dead list --search banana --json | tr -d ' \n')" "[]"
    id=$(millrace dead list --run "$run" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])')
    equal "attempts of one" "$(millrace dead show "$id" --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["attempts"]))')" 3
    refused 2 "needs the number" "$bin/millrace" dead replay
    refused 4 "no such dead letters" "$bin/millrace" dead replay 999999
    show_rows
    equal discarded "$(millrace dead discard "$id" --reason 'not worth it' --json | member discarded)" 1
    equal replayed "$(millrace dead replay --run "$run" --reason mended --json | member replayed)" 8
    state_is "$run" failed # one stays given up
    equal "results" "$(count "$run")" 8
    equal "of them twice" "$(sql "select count(*) - count(distinct batch) from millrace.result where run_id = $run")" 0
    equal "ends of the run" "$(sql "select count(*) from millrace.run_ending where run_id = $run")" 2
    equal "dead letters left" "$(millrace dead list --json | tr -d ' \n')" "[]"
}

# Killed between the reopening and its end; the table alone says how it goes on.
a_replay_survives_a_killed_broker() {
    local run
    fresh_version 12
    hide_rows
    run=$(submit --batch-size 10)
    state_is "$run" failed
    show_rows
    millrace limits set component "$component" --rate 20 >/dev/null
    millrace dead replay --all >/dev/null
    poll 30 reach "$run" 5
    kill -9 "$(pid_of broker)"
    down
    up 2
    millrace limits remove component "$component" >/dev/null
    state_is "$run" succeeded
    equal "results" "$(count "$run")" 120
}

batches() { # RUN
    sql "select (v.row_count + 9) / 10 from millrace.run r join millrace.dataset_version v on v.id = r.version_id where r.id = $1"
}

letters() { # RUN
    sql "select count(*) from millrace.dead_letter where run_id = $1"
}

has_letters() { # RUN COUNT
    (($(letters "$1") >= $2))
}

# Two batches are given up long before the others are done.
two_given_up() { # SEED
    fresh_version "$1"
    millrace limits set component "$component" --rate 10 >/dev/null
    hide_rows 20
    run=$(submit --batch-size 10)
    poll 60 has_letters "$run" 2 || fail "nothing was given up"
    show_rows
}

a_letter_is_replayed_while_its_run_goes_on() {
    local run
    two_given_up 14
    equal replayed "$(millrace dead replay --run "$run" --search 'rows were deleted' --json | member replayed)" 2
    equal "the state of run $run" "$(millrace runs show "$run" --json | member state)" running
    equal "its results" "$(($(count "$run") < 150))" 1
    millrace limits remove component "$component" >/dev/null
    state_is "$run" succeeded
    equal "results" "$(count "$run")" "$(batches "$run")"
    equal "of them twice" "$(sql "select count(*) - count(distinct batch) from millrace.result where run_id = $run")" 0
    equal "attempts with one number" "$(sql "select count(*) - count(distinct attempt) from millrace.attempt_failure where run_id = $run")" 0
}

# What a broker commits before it can tell its core, by hand; then it is killed.
a_broker_killed_between_the_replay_and_its_core_loses_nothing() {
    local run
    two_given_up 15
    sql "with letter as (insert into millrace.dead_letter_end (failure_id, action, client)
             select id, 'replayed', 'by hand' from millrace.dead_letter where run_id = $run)
         insert into millrace.run_reopen (run_id, life, client) values ($run, 1, 'by hand')"
    kill -9 "$(pid_of broker)"
    down
    up 2
    millrace limits remove component "$component" >/dev/null
    state_is "$run" succeeded
    equal "results" "$(count "$run")" "$(batches "$run")"
    equal "dead letters left" "$(letters "$run")" 0
}

# What was given up is not tried again by a new broker.
dead_batches_stay_dead_over_a_restart() {
    local run before
    fresh_version 13
    hide_rows
    run=$(submit --batch-size 500)
    state_is "$run" failed
    show_rows
    millrace pause component "$component" >/dev/null
    sql "delete from millrace.run_ending where run_id = $run" # as if it had been killed just before the end was written
    before=$(sql "select count(*) from millrace.attempt_failure where run_id = $run")
    down
    up 2
    state_is "$run" failed
    equal "failures" "$(sql "select count(*) from millrace.attempt_failure where run_id = $run")" "$before"
    millrace resume component "$component" >/dev/null
    millrace dead replay --run "$run" >/dev/null
    state_is "$run" succeeded
}

pauses_stay_over_a_restart() {
    local run
    refused 4 "did you mean" "$bin/millrace" pause component structural_analyser
    refused 4 "no run 999" "$bin/millrace" pause run 999
    millrace pause component "$component" --reason 'a new version comes'
    run=$(submit --batch-size 20)
    kill -9 "$(pid_of broker)"
    down
    up 2
    millrace pause list | grep -q 'a new version comes'
    sleep 1
    equal "results while paused" "$(count "$run")" 0
    millrace pause run "$run"
    millrace resume component "$component"
    equal "paused itself" "$(millrace runs show "$run" --json | member paused)" True
    sleep 1
    equal "results while it is paused itself" "$(count "$run")" 0
    millrace resume run "$run"
    state_is "$run" succeeded
}

# 20 a second from an empty burst: 60 take 3 seconds, also with a new broker in between.
a_rate_is_kept_over_a_restart() {
    local run start took
    millrace limits set component "$component" --rate 20
    run=$(submit --batch-size 25)
    start=$(date +%s%N)
    poll 30 reach "$run" 10
    kill -9 "$(pid_of broker)"
    down
    up 2
    state_is "$run" succeeded
    took=$((($(date +%s%N) - start) / 1000000))
    local n
    n=$(count "$run")
    ((took >= (n - 3) * 50)) || fail "$n batches took $took ms"
    millrace limits remove component "$component"
    equal "limits" "$(millrace limits --json | tr -d ' \n')" "[]"
}

the_higher_priority_goes_first() {
    local low high before
    millrace pause component "$component" >/dev/null
    low=$(submit --batch-size 4 --priority 1)
    high=$(submit --batch-size 4 --priority 1000)
    millrace resume component "$component" >/dev/null
    state_is "$high" succeeded
    state_is "$low" succeeded
    # Attempts are numbered as they are sent, so the numbers are the order of sending, however long a batch then takes.
    before=$(sql "select count(*) from millrace.result l where run_id = $low and attempt <
        (select max(attempt) from millrace.result where run_id = $high)")
    equal "of the low priority sent before the last of the high one" "$before" 0
}

a_key_submits_once() {
    local first second
    first=$(submit --key nightly-7 --batch-size 100)
    second=$(submit --key nightly-7 --batch-size 100)
    equal "the second run" "$second" "$first"
    equal "is known" "$(millrace run -c "$component" --key nightly-7 --batch-size 100 --detach --json | member existed)" True
    refused 5 "used for another submission, which is run $first" "$bin/millrace" run -c "$component" --key nightly-7 --detach
    # Many at once, and a broker that may not answer any of them twice.
    for _ in 1 2 3 4 5 6; do submit --key many >>"$work/many" & done
    wait
    equal "runs of one key" "$(sort -u "$work/many" | wc -l)" 1
}

fires() { # SCHEDULE
    sql "select count(*) from millrace.schedule_fire where schedule_id = $1"
}

fired() { # SCHEDULE COUNT
    (($(fires "$1") >= $2))
}

schedules_fire_once_each() {
    local id once runs
    id=$(millrace schedules add --every '1 second' -c "$component" --name tick --json | member schedule)
    once=$(millrace run --at '+1 second' -c "$component" --name later --json | member schedule)
    poll 30 fired "$id" 2
    poll 30 fired "$once" 1
    kill -9 "$(pid_of broker)"
    runs=$(fires "$id")
    sleep 4 # three or four are missed
    down
    up 2
    poll 30 fired "$id" $((runs + 2)) # the last of the missed ones, and then the next
    millrace schedules remove "$id"
    refused 4 "no schedule $id" "$bin/millrace" schedules remove "$id"
    equal "times without a run of their own" "$(sql "select count(*) - count(distinct run_id) from millrace.schedule_fire where schedule_id = $id")" 0
    equal "more than one missed time fired" "$(sql "select count(*) from millrace.schedule_fire a join millrace.schedule_fire b
        on b.schedule_id = a.schedule_id and b.due = a.due + interval '1 second' where a.schedule_id = $id and a.fired_at > a.due + interval '2.5 seconds'
        and b.fired_at > b.due + interval '2.5 seconds'")" 0
    equal "firings of the single one" "$(fires "$once")" 1
    equal "its next time" "$(sql "select next_due is null from millrace.schedule_now where id = $once")" t
    refused 3 "the minute is not understood" "$bin/millrace" schedules add --cron '61 * * * *' -c "$component"
    refused 3 "is not understood" "$bin/millrace" schedules add --every banana -c "$component"
    refused 4 "there is no component" "$bin/millrace" schedules add --every '1 hour' -c banana
}

# One that cannot run now may be able to the next time.
a_schedule_that_cannot_run_says_so() {
    local id
    id=$(millrace schedules add --every '1 second' -c "$component" --dataset nowhere --json | member schedule)
    poll 30 fired "$id" 2
    millrace schedules list | grep -q "there is no data set 'nowhere'"
    millrace schedules remove "$id"
}

memory_kb() {
    awk '/^VmRSS/ { print $2 }' "/proc/$(pid_of broker)/status"
}

ten_thousand_later_ones_are_not_loaded() {
    local id before
    id=$(millrace run --at '+1 day' -c "$component" --json | member schedule)
    before=$(memory_kb)
    sql "insert into millrace.schedule (name, first_due, request, client) select 'later', now() + interval '1 day', request, client
         from millrace.schedule, generate_series(1, 10000) where id = $id"
    sleep 6 # it looks each five seconds
    (($(memory_kb) < before + 20000)) || fail "the broker grew from $before kB to $(memory_kb) kB"
    equal "runs" "$(millrace status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["runs"]["running"])')" 0
    sql "insert into millrace.schedule_end (schedule_id, client) select id, 'test' from millrace.schedule where name = 'later' on conflict do nothing"
}

gone() { # PID
    [[ ! -e /proc/$1 ]] || grep -q '^State:.[ZX]' "/proc/$1/status"
}

# The loader's connection hangs: its process in the database is stopped. The watchdog alarms, tries again, and ends the
# broker; a new one goes on.
a_standstill_is_seen_and_ended() {
    local run broker stopped
    down
    MILLRACE_WATCHDOG_S=2 up 2
    run=$(submit --batch-size 1000) # so that the loader has its connection
    state_is "$run" succeeded
    stopped=$(sql "select pid from pg_stat_activity where application_name = 'loader'")
    [[ $stopped ]] || fail "the loader has no connection"
    millrace sample --rows 50 --seed 77 --output "$work/last.jsonl"
    millrace ingest "$work/last.jsonl" >/dev/null
    kill -STOP "$stopped"
    run=$(submit --batch-size 10)
    broker=$(pid_of broker)
    poll 20 gone "$broker" || fail "the broker still runs"
    kill -CONT "$stopped"
    grep -h 'stalled' "$home"/log/broker.log | grep -q 'fatal=false'
    grep -h 'stalled' "$home"/log/broker.log | grep -q 'fatal=true'
    grep -q 'the repair did not help' "$home"/log/broker.log
    down
    up 2
    state_is "$run" succeeded
}

it_ends_cleanly() {
    down
    ! grep -hE 'Sanitizer|runtime error' "$home"/log/*.log
}

check "rows come in" rows_come_in
check "dead letters are listed, searched, replayed and discarded" dead_letters_are_listed_replayed_and_discarded
check "a replay survives a killed broker" a_replay_survives_a_killed_broker
check "a letter is replayed while its run goes on" a_letter_is_replayed_while_its_run_goes_on
check "a broker killed between the replay and its core loses nothing" a_broker_killed_between_the_replay_and_its_core_loses_nothing
check "dead batches stay dead over a restart" dead_batches_stay_dead_over_a_restart
check "pauses stay over a restart" pauses_stay_over_a_restart
check "a rate is kept over a restart" a_rate_is_kept_over_a_restart
check "the higher priority goes first" the_higher_priority_goes_first
check "a key submits once" a_key_submits_once
check "schedules fire once each, also what was missed" schedules_fire_once_each
check "a schedule that cannot run says so" a_schedule_that_cannot_run_says_so
check "ten thousand later ones are not loaded" ten_thousand_later_ones_are_not_loaded
check "a standstill is seen, repaired or ended" a_standstill_is_seen_and_ended
check "it ends cleanly" it_ends_cleanly
finish

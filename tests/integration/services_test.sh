#!/usr/bin/env bash
# deploy/services: starts, answers, is started twice, is killed, stops; from awkward folders and as an ordinary user.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
services=$tree/deploy/services
home=$work/home

both_answer() {
    local redis
    equal "the answer" "$(sql 'select 6 * 7')" 42
    redis=$(sed -n 's,^MILLRACE_REDIS_URL=unix://,,p' "$home/services.env")
    equal "the answer of Redis" "$(redis-cli -s "$redis" ping)" PONG
}

it_starts() {
    "$services" start "$home" >"$work/first"
    cmp "$work/first" "$home/services.env"
    grep -qE '^MILLRACE_DATABASE_URL=postgresql://' "$work/first"
    grep -qE '^MILLRACE_REDIS_URL=unix:///' "$work/first"
    "$services" status "$home"
    both_answer
}

it_starts_twice() {
    local before
    before=$(cat "$home/run/postgres.pid" "$home/run/redis.pid")
    "$services" start "$home" >"$work/second"
    cmp "$work/first" "$work/second"
    equal "the processes" "$(cat "$home/run/postgres.pid" "$home/run/redis.pid")" "$before"
}

it_is_durable_and_private() {
    equal fsync "$(sql 'show fsync')" on
    equal synchronous_commit "$(sql 'show synchronous_commit')" on
    equal full_page_writes "$(sql 'show full_page_writes')" on
    equal listen_addresses "$(sql 'show listen_addresses')" ""
    equal server_encoding "$(sql 'show server_encoding')" UTF8
    equal "its user" "$(stat -c %u "/proc/$(pid_of postgres)" | grep -cx 0 || true)" 0
}

what_was_killed_starts_again() {
    sql "create table kept as select 7 as x"
    kill -9 "$(pid_of postgres)" "$(pid_of redis)"
    "$services" start "$home"
    equal "the row" "$(sql 'select x from kept')" 7
    both_answer
}

it_stops() {
    local postgres redis
    postgres=$(pid_of postgres) redis=$(pid_of redis)
    "$services" stop "$home"
    not_running "$postgres"
    not_running "$redis"
    [[ ! -e $home/services.env && ! -e $home/sock ]] || fail "addresses or sockets stay"
    "$services" stop "$home"
    local rc=0
    "$services" status "$home" || rc=$?
    equal "the status" "$rc" 3
}

data_stay() {
    "$services" start "$home"
    equal "the row" "$(sql 'select x from kept')" 7
    "$services" stop "$home"
}

a_path_may_hold_anything() {
    home="$work/a folder, ü 100% '"
    "$services" start "$home"
    both_answer
    "$services" stop "$home"
    home=$work/$(printf 'long%.0s' {1..40})
    "$services" start "$home"
    both_answer
    "$services" stop "$home"
}

an_ordinary_user_can() {
    ((EUID == 0)) || skip "this is an ordinary user already"
    home=$work/theirs
    mkdir "$home"
    chown nobody "$home"
    local as=(setpriv --reuid=nobody --clear-groups --)
    "${as[@]}" test -x "$services" || skip "an ordinary user may not enter $tree"
    "${as[@]}" "$services" start "$home"
    both_answer
    equal "its user" "$(stat -c %U "/proc/$(pid_of postgres)")" nobody
    "${as[@]}" "$services" stop "$home"
}

wrong_input_is_refused() {
    refused 1 "start\|stop\|status HOME" "$services"
    refused 1 "none of start" "$services" begin "$work/x"
    touch "$work/file"
    refused 1 "cannot make the folder" "$services" start "$work/file/home"
}

check "both servers start and tell their addresses" it_starts
check "a second start changes nothing" it_starts_twice
check "settings are durable, no port is open, PostgreSQL is not root" it_is_durable_and_private
check "servers that were killed start again with their data" what_was_killed_starts_again
check "both stop, once and twice" it_stops
check "the data stay" data_stay
check "a home may have blanks, signs and a long path" a_path_may_hold_anything
check "an ordinary user starts and stops them" an_ordinary_user_can
check "wrong input gives one sentence" wrong_input_is_refused
finish

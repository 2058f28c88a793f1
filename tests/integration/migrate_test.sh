#!/usr/bin/env bash
# millrace migrate: up, all the way down, and up again leave the same schema.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
use_home migrate

dump() {
    local url
    url=$(sed -n 's/^MILLRACE_DATABASE_URL=//p' "$home/services.env")
    pg_dump -s --no-owner "$url" | grep -vE '^--|^\\(un)?restrict|^$'
}

start() {
    "$tree/deploy/services" start "$home" >/dev/null
    dump >"$work/empty"
}

migrate() {
    MILLRACE_DATABASE_URL=$(sed -n 's/^MILLRACE_DATABASE_URL=//p' "$home/services.env") millrace migrate "$@"
}

up_makes_the_schema() {
    migrate up
    dump >"$work/first"
    grep -q 'CREATE TABLE millrace.training_prompts' "$work/first"
    migrate status --json | python3 -c 'import json, sys; assert json.load(sys.stdin)'
}

up_twice_changes_nothing() {
    migrate up
    dump | diff "$work/first" -
}

down_and_up_give_the_same() {
    migrate down --to 0 --yes
    dump >"$work/down"
    ! grep -q 'training_prompts' "$work/down"
    migrate up
    dump | diff "$work/first" -
}

without_a_database_it_says_so() {
    refused any "." env MILLRACE_DATABASE_URL=postgresql:///none?host="$work" "$bin/millrace" migrate up
    refused any "MILLRACE_DATABASE_URL" "$bin/millrace" migrate up --home "$work/nowhere"
}

check "a database starts" start
check "up makes the schema" up_makes_the_schema
check "up twice changes nothing" up_twice_changes_nothing
check "down and up again leave the same schema" down_and_up_give_the_same
check "without a database one sentence says so" without_a_database_it_says_so
finish

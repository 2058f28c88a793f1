#!/usr/bin/env bash
# Keys, roles, revocation and the audit log with real processes: a broker with keys on every interface, a worker and clients
# with keys of each role, and peers that must stay out.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
use_home secure
unset MILLRACE_BROKER
keys=$home/keys
port=7650

# What a check that failed leaves behind.
at_exit() {
    local file
    for file in "$work"/*.pid; do kill "$(<"$file")" 2>/dev/null || true; done
}

free_port() {
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
}

# as NAME COMMAND...: the CLI with that key.
as() {
    local name=$1
    shift
    MILLRACE_BROKER=tcp://127.0.0.1:$port MILLRACE_KEY_FILE=$keys/$name.key MILLRACE_SERVER_KEY=$(server_key) millrace "$@"
}

refused_as() { # STATUS PATTERN NAME COMMAND...
    local status=$1 pattern=$2 name=$3
    shift 3
    refused "$status" "$pattern" env MILLRACE_KEY_FILE="$keys/$name.key" MILLRACE_SERVER_KEY="$(server_key)" "$bin/millrace" "$@" \
        --broker "tcp://127.0.0.1:$port"
}

server_key() {
    sed -n 's/^public //p' "$keys/server.key"
}

make_keys() {
    local role
    for role in viewer producer operator admin worker; do
        millrace keys create "$role" --role "$role" --folder "$keys" >/dev/null
    done
    equal "the mode of a secret" "$(stat -c %a "$keys/admin.key" "$keys/server.key" | sort -u)" 600
    equal "keys in the list" "$(millrace keys list --folder "$keys" --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" 6
    refused 5 "already" "$bin/millrace" keys create admin --role admin --folder "$keys"
    refused 2 "needs a name" "$bin/millrace" keys create ../x --role admin --folder "$keys"
    refused 4 "nobody" "$bin/millrace" keys revoke nobody --folder "$keys"
}

start_broker() {
    free_port
    echo "$port" >"$work/port"
    local line
    "$tree/deploy/services" start "$home" >/dev/null
    while IFS= read -r line; do export "${line?}"; done <"$home/services.env"
    millrace migrate up --home "$home"
    MILLRACE_SERVER_KEY_FILE=$keys/server.key MILLRACE_ALLOW_FILE=$keys/allowed "$bin/millrace-broker" \
        --listen "tcp://0.0.0.0:$port" --events "tcp://0.0.0.0:*" >"$home/broker.log" 2>&1 &
    echo $! >"$work/broker.pid"
    poll 20 grep -q event=serving "$home/broker.log"
}

start_worker() { # NAME
    MILLRACE_BROKER=tcp://127.0.0.1:$port MILLRACE_KEY_FILE=$keys/$1.key MILLRACE_SERVER_KEY=$(server_key) \
        "$bin/millrace-worker" --name "$1" >"$home/$1.log" 2>&1 &
    echo $! >"$work/$1.pid"
}

workers_are() {
    [[ $(as admin workers --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))') == "$1" ]]
}

roles_hold() {
    port=$(<"$work/port")
    start_worker worker
    poll 20 workers_are 1
    as producer sample --rows 64 --output "$work/rows.jsonl"
    as producer ingest "$work/rows.jsonl"
    as producer run --component structural_analyzer
    as viewer runs >/dev/null
    as admin config --of-broker >/dev/null
    refused_as 6 "role producer" viewer run
    refused_as 6 "role operator" producer cancel 1
    refused_as 6 "worker's key" worker status
}

a_client_is_no_worker() {
    port=$(<"$work/port")
    start_worker admin
    poll 20 grep -q "only a worker's key" "$home/admin.log"
    kill "$(<"$work/admin.pid")"
    workers_are 1
}

strangers_stay_out() {
    port=$(<"$work/port")
    millrace keys create stranger --role admin --folder "$work/other" >/dev/null
    cp "$work/other/stranger.key" "$keys/stranger.key"
    refused_as 10 "no broker answers" stranger status
    refused 10 "no broker answers" "$bin/millrace" status --broker "tcp://127.0.0.1:$port"
    chmod 644 "$keys/stranger.key"
    refused_as 6 "read by others" stranger status
    ln -s "$keys/admin.key" "$keys/link.key"
    refused_as 6 "symbolic link" link status
    refused 2 "key.file" "$bin/millrace" status --key-file "$keys/admin.key"
    as viewer status >/dev/null
}

follow_events() {
    port=$(<"$work/port")
    as viewer tail --count 1 >"$work/event" 2>"$work/tail.err" &
    local tail=$!
    poll 10 grep -qs following "$work/tail.err"
    for _ in $(seq 20); do
        as producer run --component structural_analyzer --name events >/dev/null 2>&1
        kill -0 "$tail" 2>/dev/null || break
    done
    wait "$tail"
    [[ -s $work/event ]]
}

compute_is_confined() {
    local worker pid
    port=$(<"$work/port")
    worker=$(<"$work/worker.pid")
    read -r pid _ <"/proc/$worker/task/$worker/children" || [[ $pid ]] # the line has no end
    grep -q '^Seccomp:.2' "/proc/$pid/status" || {
        grep -q seccomp_unavailable "$home/worker.log" && skip "this kernel has no system call filter"
        grep -qa __asan_init "$bin/millrace-worker" && skip "a sanitizer's build is not confined"
        fail "the compute process has no filter, and nothing says why"
    }
    as producer run >/dev/null
}

revocation_acts_at_once() {
    port=$(<"$work/port")
    millrace keys revoke worker --folder "$keys"
    poll 2 workers_are 0
    poll 5 grep -q "not admitted any more" "$home/worker.log"
    poll 10 audit_has "the key is revoked"
    kill "$(<"$work/worker.pid")"
    millrace keys revoke viewer --folder "$keys"
    refused_as 10 "no broker answers" viewer status
}

rotation_replaces() {
    port=$(<"$work/port")
    cp "$keys/operator.key" "$keys/old.key"
    millrace keys rotate operator --folder "$keys" >/dev/null
    as operator status >/dev/null
    refused_as 10 "no broker answers" old status
}

a_broken_list_admits_nobody() {
    port=$(<"$work/port")
    cp "$keys/allowed" "$work/allowed"
    echo "nonsense" >"$keys/allowed"
    refused_as 10 "no broker answers" admin status
    grep -q "event=keys_unreadable.*allowed:1" "$home/broker.log"
    cp "$work/allowed" "$keys/allowed"
    as admin status >/dev/null
}

audit_has() { # TEXT
    as admin audit --limit 1000 --json >"$work/audit.json" && grep -qF -- "$1" "$work/audit.json"
}

the_audit_tells() {
    local what
    port=$(<"$work/port")
    for what in "the key is not known" "the key is revoked" "the key is not admitted any more" "needs the role operator" \
        "needs the role producer" "a worker's key may not open" "only a worker's key" ingest_rows ingest_end '"what":"run"'; do
        poll 5 audit_has "$what" || {
            sed 's/[ ]*:[ ]*/:/g' "$work/audit.json" | grep -qF -- "$what" || fail "the audit lacks: $what"
        }
    done
    python3 - "$work/audit.json" <<'P'
import json, sys
rows = json.load(open(sys.argv[1]))
ran = [r for r in rows if r["event"] == "command" and r["what"] == "run"]
assert ran and all(r["name"] == "producer" and r["role"] == "producer" and r["status"] == 0 and r["at"] for r in ran), ran
assert all(len(r["key"]) == 64 for r in rows if r["event"] == "command"), rows
P
    ! sql "delete from millrace.audit" 2>/dev/null || fail "rows of the audit can be deleted"
    ! sql "update millrace.audit set name = 'x'" 2>/dev/null || fail "rows of the audit can be changed"
    ! sql "truncate millrace.audit" 2>/dev/null || fail "the audit can be emptied"
}

# A stranger that tries again and again adds a bounded number of rows.
refusals_have_a_budget() {
    local before after
    port=$(<"$work/port")
    before=$(sql "select count(*) from millrace.audit where event = 'refused'")
    chmod 600 "$keys/stranger.key"
    for _ in 1 2 3 4 5 6; do as stranger status --timeout 1500 >/dev/null 2>&1 & done
    wait
    poll 5 audit_has "the key is not known"
    after=$(sql "select count(*) from millrace.audit where event = 'refused'")
    ((after - before <= 80)) || fail "$((after - before)) rows"
    ((after > before)) || fail "no row at all"
}

without_keys_only_loopback() {
    refused 6 "not on this machine" env MILLRACE_DATABASE_URL="$(sed -n 's/^MILLRACE_DATABASE_URL=//p' "$home/services.env")" \
        "$bin/millrace-broker" --listen "tcp://0.0.0.0:1"
    refused 2 "go together" env MILLRACE_ALLOW_FILE="$keys/allowed" "$bin/millrace-broker" --listen "ipc://$work/x.sock"
    chmod 640 "$keys/server.key"
    refused 6 "read by others" env MILLRACE_ALLOW_FILE="$keys/allowed" MILLRACE_SERVER_KEY_FILE="$keys/server.key" \
        "$bin/millrace-broker" --listen "ipc://$work/x.sock"
    chmod 600 "$keys/server.key"
}

gone() {
    [[ ! -e /proc/$1 ]] || grep -q '^State:.[ZX]' "/proc/$1/status"
}

stop_broker() {
    local pid
    pid=$(<"$work/broker.pid")
    kill "$pid"
    poll 20 gone "$pid"
    ! grep -qE 'Sanitizer|runtime error|broken invariant' "$home"/*.log
}

check "keys are made with safe modes; names are checked" make_keys
check "a broker with keys listens on every interface" start_broker
check "each role may do its own and no more" roles_hold
check "a client's key opens no worker's session" a_client_is_no_worker
check "unknown keys, no keys, open files and links stay out" strangers_stay_out
check "a viewer follows live events" follow_events
check "the compute processes run under a filter, all components too" compute_is_confined
check "a revoked key's sessions end at once, and it does not come back" revocation_acts_at_once
check "a rotated key replaces the old one" rotation_replaces
check "a list that cannot be read admits nobody until it can" a_broken_list_admits_nobody
check "the audit log tells who was refused and who wrote, and stays" the_audit_tells
check "refusals have a budget of rows" refusals_have_a_budget
check "without keys only loopback; secrets that others can read are refused" without_keys_only_loopback
check "the broker ends in order" stop_broker
finish

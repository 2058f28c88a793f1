#!/usr/bin/env bash
# Whatever is wrong gives one clear sentence and a status that is not zero: no trace of calls, no hang.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
use_home wrong
cli=$bin/millrace

start() {
    up 1
    printf '{"prompt": "one"}\n{"prompt": "two"}\n' >"$work/rows.jsonl"
    millrace ingest "$work/rows.jsonl"
}

no_broker() {
    refused 10 "broker" "$cli" status --broker "ipc://$work/none.sock"
    refused 10 "broker" "$cli" status --broker tcp://127.0.0.1:1
    refused 10 "broker" "$cli" run --broker tcp://127.0.0.1:1
    refused 10 "broker" "$cli" ingest "$work/rows.jsonl" --broker tcp://127.0.0.1:1
}

wrong_addresses() {
    refused any "99999" "$cli" status --broker tcp://127.0.0.1:99999
    refused any "nonsense" "$cli" status --broker nonsense
    refused any "not on this machine" "$cli" status --broker tcp://192.0.2.1:7411
}

no_database() {
    local url="postgresql:///none?host=$work/nowhere"
    refused any "nowhere" env MILLRACE_DATABASE_URL="$url" MILLRACE_REDIS_URL=redis://127.0.0.1:1 "$cli" up --home "$work/h2" \
        --workers 1
    refused any "database" "$cli" migrate status --home "$work/h3"
    refused any "[Dd]atabase|DATABASE_URL" env -u MILLRACE_BROKER "$bin/millrace-broker" --listen "ipc://$work/b2.sock"
    url=$(sed -n 's/^MILLRACE_DATABASE_URL=//p' "$home/services.env")
    refused any "absent" env MILLRACE_DATABASE_URL="${url/\/millrace\?//absent?}" "$cli" migrate status
}

unknown_words() {
    refused 2 "'status'" "$cli" statsu
    refused 2 "verbose" "$cli" ingest --verbsoe "$work/rows.jsonl"
    refused any "structural_analyzer" "$cli" run --component structural_analyser
    refused any "nosuch" "$cli" run --component structural_analyzer --set structural_analyzer.nosuch=1
    refused any "min_cluster_size" "$cli" run --component context_learner --set context_learner.min_cluster_size=-4
    refused any "nodata" "$cli" run --dataset nodata
    refused any "999" "$cli" results 999
    refused any "999" "$cli" cancel 999
    refused any "." "$cli" results
}

unknown_settings() {
    refused 2 "MILLRACE_DATABSE_URL" env MILLRACE_DATABSE_URL=x "$cli" status
    printf 'databse_url: x\n' >"$work/bad.yaml"
    refused 2 "bad.yaml:1" "$cli" status --config "$work/bad.yaml"
    printf 'broker: [\n' >"$work/broken.yaml"
    refused any "broken.yaml" "$cli" status --config "$work/broken.yaml"
    refused any "none.yaml" "$cli" status --config "$work/none.yaml"
}

files_that_are_not_there() {
    mkdir -p "$work/empty"
    refused 4 "none.jsonl" "$cli" ingest "$work/none.jsonl"
    refused 4 "empty" "$cli" ingest "$work/empty"
    refused any "none.csv" "$cli" try structural_analyzer --input "$work/none.csv"
    refused any "nosuch" "$cli" try nosuch --input "$work/rows.jsonl"
    refused any "none" "$cli" sample --rows 1 --output "$work/none/x.jsonl"
    refused any "/dev/full" "$cli" sample --rows 5 --output /dev/full
}

numbers_out_of_range() {
    refused 3 "workers" "$cli" up --home "$work/h4" --workers 0
    refused 3 "workers" "$cli" up --home "$work/h4" --workers many
    refused any "batch" "$cli" run --batch-size 0
    refused any "rows" "$cli" sample --rows 0
}

two_brokers() {
    local url
    url=$(sed -n 's/^MILLRACE_DATABASE_URL=//p' "$home/services.env")
    refused any "broker.sock" env MILLRACE_DATABASE_URL="$url" "$bin/millrace-broker" --listen "$MILLRACE_BROKER"
    local port=7600
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    MILLRACE_BROKER=tcp://127.0.0.1:$port millrace up --home "$work/tcp" --workers 1
    refused any "$port" env MILLRACE_DATABASE_URL="$url" MILLRACE_BROKER="tcp://127.0.0.1:$port" \
        "$cli" up --home "$work/h5" --workers 1
    millrace down --home "$work/tcp"
}

full_disk() {
    ((EUID == 0)) || skip "only root can make a small file system"
    mkdir -p "$work/full"
    mount -t tmpfs -o size=4m,mode=755 tmpfs "$work/full" 2>/dev/null || skip "this machine allows no mount"
    trap 'umount "$work/full"' EXIT
    refused 1 "free" "$tree/deploy/services" start "$work/full/home"
    dd if=/dev/zero of="$work/full/ballast" bs=64k 2>/dev/null || true
    refused 9 "." "$tree/deploy/quickstart" --home "$work/full/other"
    local rc=0
    timeout 60 "$cli" up --home "$work/full/third" --workers 1 >"$work/stdout" 2>"$work/stderr" || rc=$?
    cat "$work/stderr"
    ((rc > 0 && rc < 124))
    [[ -s $work/stderr ]]
}

quickstart() {
    local quick=$tree/deploy/quickstart
    refused 2 "nosuch" "$quick" --nosuch
    refused 2 "workers" "$quick" --workers 0
    refused 2 "workers" "$quick" --workers
    refused 2 "data" "$quick" --data --exit
    refused 4 "none.jsonl" "$quick" --data "$work/rows.jsonl" "$work/none.jsonl" --exit
    refused 5 "runs already" "$quick" --home "$home" --exit
}

nothing_went_down() {
    millrace status >/dev/null
    millrace run --component structural_analyzer >/dev/null
}

check "a broker, a database and a worker start" start
check "a broker that is absent" no_broker
check "addresses that are none" wrong_addresses
check "a database that is absent" no_database
check "commands, components, options, runs that are not known" unknown_words
check "settings that are not known, files of settings that are broken" unknown_settings
check "files and folders that are not there or empty" files_that_are_not_there
check "zero workers and other numbers out of range" numbers_out_of_range
check "two brokers at one address" two_brokers
check "a disk that is full" full_disk
check "wrong flags of quickstart" quickstart
check "after all this the broker still works" nothing_went_down
finish

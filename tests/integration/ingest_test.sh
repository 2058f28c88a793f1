#!/usr/bin/env bash
# millrace ingest: bad rows beside good ones, duplicates, repeats, many files, other names, tables, nothing at all.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
use_home ingest

count() {
    sql "select count(*) from millrace.training_prompts where active"
}

ingest() { # STATUS ARGUMENT...
    local want=$1 rc=0
    shift
    millrace ingest "$@" --json >"$work/summary" 2>"$work/messages" || rc=$?
    cat "$work/summary" "$work/messages"
    equal "the status of ingest $*" "$rc" "$want"
}

counted() { # NAME VALUE
    equal "$1" "$(member "$1" <"$work/summary")" "$2"
}

bad_rows_are_refused_alone() {
    local long
    long=$(head -c 10001 /dev/zero | tr '\0' x)
    {
        printf '{"prompt": "good one", "enhancement": "better one"}\n'
        printf '{"prompt": "broken", \n'
        printf '{"prompt": 7}\n'
        printf '{"prompt": "%s"}\n' "$long"
        printf '{"prompt": "bad \xff bytes"}\n'
        printf '{"prompt": "not a number", "score": NaN}\n'
        printf '["prompt"]\n'
        printf '{"enhancement": "no prompt"}\n'
        printf '{"prompt": "  "}\n'
        printf '{"prompt": "source", "source": "nobody"}\n'
        printf '{"prompt": "priority", "priority": 1001}\n'
        printf '{"prompt": "score", "score": 1.5}\n'
        printf '{"prompt": "twice", "prompt": "twice"}\n'
        printf '{"prompt": "large", "x": 99999999999999999999}\n'
        printf '{"prompt": "good two", "enhancement": {"a": 1}, "session": "s", "score": 0.5, "success": true}\n'
    } >"$work/bad.jsonl"
    ingest 19 "$work/bad.jsonl"
    counted read 15
    counted stored 2
    counted rejected 13
    local line
    for line in {2..14}; do
        grep -qE "bad\.jsonl:$line:([0-9]+:)? ." "$work/messages" || fail "line $line is not told"
    done
    equal "rows in the table of refused rows" "$(sql 'select count(*) from millrace.ingest_reject')" 13
    equal "the good rows" "$(count)" 2
}

a_broken_row_has_its_column() {
    grep -qE 'bad\.jsonl:2:[0-9]+: ' "$work/messages" || fail "there is no column"
}

again_gives_the_same_table() {
    millrace sample --rows 300 --seed 9 --output "$work/rows.jsonl"
    ingest 0 "$work/rows.jsonl"
    local before
    before=$(sql "select md5(string_agg(encode(content_hash, 'hex') || active || revision, ',' order by id)) from millrace.training_prompts")
    ingest 0 "$work/rows.jsonl"
    counted stored 0
    counted duplicate 300
    equal "the table" "$(sql "select md5(string_agg(encode(content_hash, 'hex') || active || revision, ',' order by id)) from millrace.training_prompts")" "$before"
}

an_interrupted_ingest_is_repeated() {
    millrace sample --rows 20000 --seed 21 --output "$work/many.jsonl"
    local before pid
    before=$(count)
    "$bin/millrace" ingest "$work/many.jsonl" &
    pid=$!
    poll 30 more_than "$before" || fail "nothing came in"
    kill -9 "$pid"
    wait "$pid" || true
    ingest 0 "$work/many.jsonl"
    equal "all rows" "$(count)" "$(($(contents "$work/many.jsonl" "$work/rows.jsonl") + 2))"
}

# How many different pairs of prompt and enhancement there are in files.
contents() {
    cat "$@" | python3 -c 'import json, sys
rows = [json.loads(line) for line in sys.stdin]
print(len({json.dumps([r["prompt"], r.get("enhancement")]) for r in rows}))'
}

more_than() {
    (($(count) > $1))
}

took_ms() {
    local from=${EPOCHREALTIME/[.,]/}
    "$@" >&2
    echo $(((${EPOCHREALTIME/[.,]/} - from) / 1000))
}

# The best of three each: others may be busy on this machine.
many_small_files_are_as_fast() {
    local small large round best_small=999999 best_large=999999
    for round in 1 2 3; do
        rm -rf "$work/small" && mkdir "$work/small"
        millrace sample --rows 6000 --seed "3$round" --output "$work/a.jsonl"
        millrace sample --rows 6000 --seed "4$round" --output "$work/b.jsonl"
        split -l 10 -d -a 3 --additional-suffix=.jsonl "$work/a.jsonl" "$work/small/part"
        equal "files" "$(find "$work/small" -type f | wc -l)" 600
        small=$(took_ms millrace ingest "$work/small" --json)
        large=$(took_ms millrace ingest "$work/b.jsonl" --json)
        echo "600 files: $small ms, one: $large ms"
        ((small >= best_small)) || best_small=$small
        ((large >= best_large)) || best_large=$large
    done
    ((best_small <= 2 * best_large)) || fail "600 small files took $best_small ms, one large $best_large ms"
}

other_names_are_mapped() {
    printf '{"text": "where is my card", "intent": "card_arrival"}\n{"text": "I lost it", "intent": "lost_card"}\n' >"$work/named.jsonl"
    ingest 0 "$work/named.jsonl" --map prompt=text,labels.intent=intent
    counted stored 2
    equal "labels" "$(sql "select count(*) from millrace.training_prompts where labels->>'intent' in ('card_arrival', 'lost_card')")" 2
}

a_table_comes_in() {
    printf 'x,y,name\n1,2.5,a\n2,3.5,b\n3,4.5,c\n' >"$work/t.csv"
    ingest 0 "$work/t.csv" --table little
    counted read 3
    counted stored 3
    ingest 0 "$work/t.csv" --table little
    counted stored 0
    millrace datasets --json | grep -q little
}

globs_and_folders() {
    mkdir -p "$work/tree/deep"
    printf '{"prompt": "in a folder"}\n' >"$work/tree/one.jsonl"
    printf '{"prompt": "in a deep folder"}\n' >"$work/tree/deep/two.jsonl"
    ingest 0 "$work/tree"
    counted files 2
    counted stored 2
    ingest 0 "$work/tree/*.jsonl"
    counted duplicate 1
}

nothing_to_read_is_an_error() {
    mkdir -p "$work/empty"
    refused 4 "$work/none.jsonl" "$bin/millrace" ingest "$work/none.jsonl"
    refused 4 "holds no" "$bin/millrace" ingest "$work/empty"
    refused 4 "no file" "$bin/millrace" ingest "$work/empty/*.jsonl"
    refused 2 "--table" "$bin/millrace" ingest "$work/t.csv"
}

start() {
    up 1
}

check "everything starts" start
check "bad rows are refused alone, each with file and line" bad_rows_are_refused_alone
check "broken JSON is told with its column" a_broken_row_has_its_column
check "an ingest that is repeated leaves the same table" again_gives_the_same_table
check "an ingest that was killed and repeated ends with all rows" an_interrupted_ingest_is_repeated
check "600 small files come in within twice the time of one large" many_small_files_are_as_fast
check "keys with other names are mapped" other_names_are_mapped
check "a CSV file becomes a table" a_table_comes_in
check "folders and globs are read" globs_and_folders
check "nothing to read is an error" nothing_to_read_is_an_error
finish

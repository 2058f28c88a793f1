#!/usr/bin/env bash
# What README.md says about writing a component is true: its two files, put into a copy of the tree, build, show up in
# `millrace components`, run, and pass their test.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
copy=$work/copy

# The C blocks of README.md, by their first line: a comment with the path that the file is to have.
write_files() {
    python3 - "$tree/README.md" "$copy" <<'PYTHON'
import pathlib, re, sys
text = pathlib.Path(sys.argv[1]).read_text()
files = re.findall(r"```c\n/\* ((?:worker|tests)/[\w/]+\.c)[:. ].*?```", text, re.S)
blocks = re.findall(r"```c\n(/\* (?:worker|tests)/[\w/]+\.c[:. ].*?)```", text, re.S)
for path, body in zip(files, blocks):
    target = pathlib.Path(sys.argv[2], path)
    assert not target.exists(), f"{path} is there already"
    target.write_text(body)
    print(path)
PYTHON
}

the_tree_is_copied() {
    mkdir "$copy"
    tar -C "$tree" --exclude=./build --exclude=./run --exclude=./.git -cf - . | tar -C "$copy" -xf -
    write_files >"$work/files"
    cat "$work/files"
    grep -q '^worker/.*\.c$' "$work/files" || fail "README.md shows no component whose block starts with its path"
}

it_builds() {
    local launcher=()
    command -v ccache >/dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
    export CCACHE_BASEDIR=$copy # the objects of the tests' own release build fit
    cmake -S "$copy" -B "$copy/build/release" -G Ninja -DCMAKE_BUILD_TYPE=Release -DMILLRACE_TESTS=OFF "${launcher[@]}" >/dev/null
    ninja -C "$copy/build/release" millrace millrace-worker
}

name_of() {
    basename "$(grep '^worker/' "$work/files")" .c
}

it_is_listed() {
    "$copy/build/release/bin/millrace" components --broker "ipc://$work/none.sock" | grep -q "$(name_of)"
}

it_runs() {
    "$copy/build/release/bin/millrace" sample --rows 20 --output "$work/rows.jsonl"
    "$copy/build/release/bin/millrace" try "$(name_of)" --input "$work/rows.jsonl" --json | python3 -c 'import json, sys; json.load(sys.stdin)'
}

its_test_passes() {
    local name program
    name=$(grep '^tests/' "$work/files") || skip "README.md shows no test"
    program=component_$(basename "$name" .c)
    cmake -S "$copy" -B "$copy/build/release" -DMILLRACE_TESTS=ON >/dev/null
    CCACHE_BASEDIR=$copy ninja -C "$copy/build/release" "$program"
    "$copy/build/release/tests/$program"
}

check "README.md shows a component" the_tree_is_copied
((bad == 0)) || finish
check "it builds" it_builds
check "it is listed" it_is_listed
check "it runs" it_runs
check "its test passes" its_test_passes
finish

#!/usr/bin/env bash
# The pages that are made from the programs' tables are committed as the programs make them now.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

made_pages_are_fresh() {
    mkdir -p "$work/docs/man" "$work/docs/completion"
    local program
    for program in millrace millrace-broker millrace-worker; do "$bin/$program" docs "$work/docs"; done
    local file
    (cd "$work/docs" && find . -type f) | while read -r file; do
        cmp "$work/docs/$file" "$tree/docs/$file" || fail "docs/$file is stale: run '$(basename "$file" .1) docs docs' after a build"
    done
}

no_page_is_left_over() {
    local file
    for file in "$tree"/docs/man/*; do
        [[ -e $work/docs/man/$(basename "$file") ]] || fail "$file is made by no program"
    done
}

check "man pages, completion and tables of settings are fresh" made_pages_are_fresh
check "every man page belongs to a command" no_page_is_left_over
finish

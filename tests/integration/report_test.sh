#!/usr/bin/env bash
# `millrace report`: one page that stands alone, with all that a run found.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
use_home report

a_run_is_made() {
    up 2
    millrace sample --rows 300 --output "$work/rows.jsonl"
    millrace ingest "$work/rows.jsonl"
    millrace run
}

the_page_has_all_components() {
    millrace report 1 --output "$work/page.html"
    local component
    for component in structural_analyzer linguistic_analyzer dimensionality_reducer context_learner failure_mode_analyzer \
        statistical_validator; do
        grep -q "<h2 id=\"$component\">" "$work/page.html" || fail "the page has no $component"
    done
    grep -q '<svg' "$work/page.html" || fail "the page has no plot"
}

# Every tag is closed in order, and nothing is fetched or run.
the_page_is_well_formed_and_stands_alone() {
    python3 - "$work/page.html" <<'PYTHON'
import html.parser, sys
class Reader(html.parser.HTMLParser):
    open, alone = [], {"meta", "rect", "line", "br"}
    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "link", "img", "iframe"), tag
        assert not [a for a in attributes if a[0] in ("src", "href")], attributes
        if tag not in self.alone: self.open.append(tag)
    def handle_startendtag(self, tag, attributes):
        assert tag in self.alone, tag
    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag
reader = Reader()
reader.feed(open(sys.argv[1], encoding="utf-8").read())
assert not reader.open, reader.open
PYTHON
}

wrong_input_is_refused() {
    refused 4 "there is no run 99" "$bin/millrace" report 99
    refused any "." "$bin/millrace" report 1 --output "$work/nowhere/page.html"
}

check "a run is made" a_run_is_made
check "the page has all components, with plots" the_page_has_all_components
check "the page is well formed and stands alone" the_page_is_well_formed_and_stands_alone
check "wrong input gives one sentence" wrong_input_is_refused
finish

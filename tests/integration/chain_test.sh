#!/usr/bin/env bash
# Pipelines: steps that use what other steps left. What is given is really used; the bytes are the same with any number of
# workers and after a kill between two steps; what cannot run is refused before anything is made.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
use_home chain
table=baskets

# Real baskets where they are at hand, else made ones. `treatment`: the basket holds the most frequent item; `success`: the
# customer comes again; `outcome`: how many items there are.
make_rows() {
    python3 - "$tree/../shared/data/transactions/online_retail_baskets.tsv" "$work/rows.csv" <<'PYTHON'
import csv, os, random, sys
from collections import Counter
source, target = sys.argv[1:]
random.seed(5)
if os.path.exists(source):
    baskets = [(r["customer"], r["datetime"], r["items"].split()) for r in csv.DictReader(open(source), delimiter="\t")]
else:
    names = ["item%d" % i for i in range(40)]
    baskets = [("c%d" % random.randrange(2500), "2011-01-01 %02d:%02d:00" % (random.randrange(8, 18), i % 60),
                [n for k, n in enumerate(names) if random.random() < 1 / (2 + k)] or names[:1]) for i in range(10000)]
visits, often = Counter(b[0] for b in baskets), Counter(i for b in baskets for i in b[2]).most_common(1)[0][0]
with open(target, "w", newline="") as f:
    out = csv.writer(f)
    out.writerow(["item", "hour", "minute", "visit", "treatment", "outcome", "success"])
    seen = Counter()
    for customer, when, items in baskets[:9000]:
        seen[customer] += 1
        out.writerow([" ".join(items), int(when[11:13]), int(when[14:16]), seen[customer], int(often in items), len(items),
                      int(seen[customer] < visits[customer])])
PYTHON
}

cat >"$work/chain.yaml" <<'YAML'
name: chain
dataset: baskets
seed: 5
steps:
  - id: again
    component: ml_model_service
    apply: model
  - id: significance
    component: pattern_significance_analyzer
    options: {top: 20000}
    needs: [patterns]
  - id: patterns
    component: pattern_discovery
    options: {min_support: 0.02}
  - id: causes
    component: causal_inference_analyzer
  - id: insight
    component: insight_generation_engine
    needs: [causes]
  - id: reduce
    component: dimensionality_reducer
    options: {components: 2}
  - id: model
    component: ml_model_service
    options: {model: logistic, target: success}
    needs: [reduce]
YAML

submit() { # OPTION...
    millrace run --pipeline "$work/chain.yaml" --detach --json "$@" | member run
}

ended() { # RUN
    [[ $(sql "select count(*) from millrace.run_end where run_id = $1") == 1 ]]
}

await() { # RUN STATE
    poll 180 ended "$1" || fail "run $1 does not end"
    equal "the state of run $1" "$(millrace runs show "$1" --json | member state)" "$2"
}

step_done() { # RUN ID
    [[ $(sql "select count(*) from millrace.result r join millrace.run_step s on s.run_id = r.run_id and s.step = r.step
              where r.run_id = $1 and s.name = '$2' and r.last") == 1 ]]
}

hashes() { # RUN: every result, partial ones too
    sql "select s.name, r.level, r.batch, encode(r.body_hash, 'hex') from millrace.result r join millrace.run_step s
         on s.run_id = r.run_id and s.step = r.step where r.run_id = $1 order by 1, 2, 3"
}

same_as_first() { # RUN
    hashes "$1" >"$work/hashes"
    [[ -s $work/hashes ]] || fail "run $1 has no results"
    diff "$work/first" "$work/hashes"
}

gone() { # PID
    [[ ! -e /proc/$1 ]] || grep -q '^State:.[ZX]' "/proc/$1/status"
}

body() { # RUN ID: its result as JSON
    millrace results "$1" --json >"$work/all.json"
    python3 - "$work/all.json" "$(sql "select step from millrace.run_step where run_id = $1 and name = '$2'")" <<'PYTHON'
import json, sys
found = [r["body"] for r in json.load(open(sys.argv[1])) if r["step"] == int(sys.argv[2])]
print(json.dumps(found[0]))
PYTHON
}

a_chain_runs() {
    make_rows
    up 2
    millrace ingest "$work/rows.csv" --table "$table" --types item=text
    run=$(submit)
    await "$run" succeeded
    echo "$run" >"$work/run"
    hashes "$run" >"$work/first"
    equal "steps with results" "$(cut -d'|' -f1 "$work/first" | sort -u | wc -l)" 7
    millrace runs show "$run" | grep -A9 '^chain:' >"$work/shown"
    grep -q 'input .*pattern_discovery .*patterns' "$work/shown"
    grep -q 'features .*dimensionality_reducer .*model' "$work/shown"
    grep -q 'model .*ml_model_service .*model' "$work/shown"
    equal "what has a hash" "$(sql "select count(*) from millrace.run_chain where run_id = $run and hash is not null")" 5
}

# Every itemset that was tested is one of the list, and all of the list were.
the_patterns_that_were_found_are_tested() {
    local run hash
    run=$(<"$work/run")
    hash=$(sql "select encode(hash, 'hex') from millrace.run_artifact where run_id = $run and name = 'patterns'")
    millrace artifacts get "$hash" --output "$work/patterns.tsv"
    body "$run" significance >"$work/significance.json"
    python3 - "$work/patterns.tsv" "$work/significance.json" "$hash" <<'PYTHON'
import json, sys
lines = [line.rstrip("\n").split("\t") for line in open(sys.argv[1])][1:]
listed = {frozenset(p.split()) for kind, _, _, p in lines if kind == "itemset"}
result = json.load(open(sys.argv[2]))
tested = {frozenset(t["pattern"].split()) for t in result["tests"] if t["kind"] == "itemset"}
assert listed and tested == listed, (len(tested), len(listed), list(tested ^ listed)[:5])
assert result["patterns_from"] == {"component": "pattern_discovery", "artifact": "patterns", "run": None, "hash": sys.argv[3]}, result["patterns_from"]
PYTHON
}

the_effect_that_was_estimated_is_cited() { # in the same run, and with its number from a later one
    local run later
    run=$(<"$work/run")
    cat >"$work/later.yaml" <<'YAML'
dataset: baskets
seed: 5
steps:
  - id: insight
    component: insight_generation_engine
    needs: [{newest: causal_inference_analyzer}]
YAML
    later=$(millrace run --pipeline "$work/later.yaml" --detach --json | member run)
    await "$later" succeeded
    body "$run" causes >"$work/causes.json"
    body "$run" insight >"$work/insight.json"
    body "$later" insight >"$work/later.json"
    python3 - "$work" "$run" <<'PYTHON'
import json, sys
read = lambda name: json.load(open("%s/%s.json" % (sys.argv[1], name)))
causes, insight, later = read("causes"), read("insight"), read("later")
best = [e for e in causes["effects"] if e["effect"] is not None][-1]
for cited, run in ((insight, None), (later, int(sys.argv[2]))):
    assert cited["causal"]["effect"] == best["effect"] and cited["causal"]["method"] == best["method"], cited["causal"]
    assert cited["causal_from"]["run"] == run, cited["causal_from"]
assert any("by causal_inference_analyzer of run %s" % sys.argv[2] in f["text"] for f in later["findings"]), later["findings"]
PYTHON
    equal "the run that is noted" "$(sql "select from_run from millrace.run_step_input where run_id = $later")" "$run"
}

the_model_is_trained_on_the_reduced_features() {
    body "$(<"$work/run")" model >"$work/model.json"
    python3 -c 'import json, sys; assert json.load(open(sys.argv[1]))["columns"] == ["scores_1", "scores_2"]' "$work/model.json"
}

# The step `again` of the run, and a run of its own by place and by hash, predict the same.
a_stored_model_is_applied() {
    local run hash one two
    run=$(<"$work/run")
    hash=$(sql "select encode(a.hash, 'hex') from millrace.run_artifact a join millrace.run_step s on s.run_id = a.run_id
                and s.step = a.step where a.run_id = $run and s.name = 'model'")
    one=$(millrace apply --model "$run:model" --dataset "$table" --batch-size 32 --detach --json | member run)
    two=$(millrace apply --model "$hash" --dataset "$table" --batch-size 32 --detach --json | member run)
    await "$one" succeeded
    await "$two" succeeded
    hashes "$run" | sed -n 's/^again//p' >"$work/again"
    [[ -s $work/again ]]
    hashes "$one" | diff "$work/again" -
    hashes "$two" | diff "$work/again" -
    equal "what was applied" "$(sql "select string_agg(use::text || component, ' ' order by place) from millrace.run_step_input
        where run_id = $two")" "2ml_model_service 1dimensionality_reducer"
    refused 3 "cannot apply" "$bin/millrace" apply --model "$run:causes:model" --dataset "$table"
    refused 4 "has no step 'nobody'" "$bin/millrace" apply --model "$run:nobody" --dataset "$table"
}

# Bound to a role, `kind` is no feature, neither when the model was made nor when it is applied.
a_model_finds_the_roles_of_its_run() {
    local run hash
    {
        echo x,y,kind
        for i in {1..60}; do echo "$((i % 7 + 20 * (i % 2))),$((i % 3)),$((i % 2))"; done
    } >"$work/kinds.csv"
    millrace ingest "$work/kinds.csv" --table kinds >/dev/null
    run=$(millrace run -c context_learner --dataset kinds --role label=kind --detach --json | member run)
    await "$run" succeeded
    hash=$(sql "select encode(hash, 'hex') from millrace.run_artifact where run_id = $run and name = 'model'")
    await "$(millrace apply --model "$run:context_learner" --dataset kinds --detach --json | member run)" succeeded
    await "$(millrace apply --model "$hash" --dataset kinds --detach --json | member run)" succeeded
    await "$(millrace apply --model "$hash" --dataset kinds --role label=y --detach --json | member run)" failed
}

# Eighty rows, and forty that come later: what the update leaves is what a run over all of them leaves.
a_state_takes_in_rows_that_come_later() {
    local component run all
    python3 - "$work" <<'PYTHON'
import sys
rows = ["%g,%g,%d" % (i * 37 % 101 / 10 + 30 * (i % 2), i * 53 % 89 / 10, i % 3 > 0) for i in range(120)]
for name, part in (("early", rows[:80]), ("late", rows[80:]), ("whole", rows)):
    with open("%s/%s.csv" % (sys.argv[1], name), "w") as f:
        f.write("\n".join(["x,y,kind"] + part) + "\n")
PYTHON
    for part in early late whole; do millrace ingest "$work/$part.csv" --table "$part" >/dev/null; done
    for component in context_learner failure_mode_analyzer; do
        run=$(millrace run -c "$component" --dataset early --role success=kind --seed 7 --detach --json | member run)
        all=$(millrace run -c "$component" --dataset whole --role success=kind --seed 7 --detach --json | member run)
        await "$run" succeeded
        await "$all" succeeded
        run=$(millrace apply --model "$run:$component:state" --dataset late --batch-size 16 --detach --json | member run)
        await "$run" succeeded
        equal "what $component left" "$(left_by "$run")" "$(left_by "$all")"
        equal "how many artifacts $component left" "$(left_by "$run" | wc -l)" 2
    done
}

left_by() {
    sql "select name || ' ' || encode(hash, 'hex') from millrace.run_artifact where run_id = $1 order by name"
}

without_services_it_is_the_same() {
    sed '/^dataset:/d' "$work/chain.yaml" >"$work/local.yaml"
    "$bin/millrace" try --pipeline "$work/local.yaml" --input "$work/rows.csv" --json >"$work/local.json"
    millrace results "$(<"$work/run")" --json >"$work/all.json"
    python3 - "$work/local.json" "$work/all.json" <<'PYTHON'
import json, sys
local = [[r["result"] for r in step["results"]] for step in json.load(open(sys.argv[1]))]
run = {}
for r in json.load(open(sys.argv[2])):
    run.setdefault(r["step"], []).append(r["body"])
assert len(local) == 7 and local == [run[i] for i in range(7)], [i for i in range(7) if local[i] != run.get(i)]
PYTHON
}

components_of_one_run_are_chained_by_themselves() { # whatever their order
    local run
    run=$(millrace run --dataset "$table" -c pattern_significance_analyzer -c structural_analyzer -c pattern_discovery \
        --role prompt=item --detach --json | member run) || return
    await "$run" succeeded
    equal "the chain" "$(sql "select string_agg(component || from_step, ' ') from millrace.run_step_input where run_id = $run")" \
        pattern_discovery1
    equal "the steps" "$(sql "select string_agg(component, ' ' order by step) from millrace.run_step where run_id = $run")" \
        "structural_analyzer pattern_discovery pattern_significance_analyzer"
}

again_is_the_same() { # WORKERS
    down
    up "$1"
    run=$(submit)
    await "$run" succeeded
    same_as_first "$run"
}

# The second step is held back until the first is committed and the broker is gone.
a_broker_killed_between_steps_changes_nothing() {
    local run broker
    millrace pause component pattern_significance_analyzer
    run=$(submit)
    poll 60 step_done "$run" patterns || fail "the patterns of run $run are not found"
    broker=$(pid_of broker)
    kill -9 "$broker"
    poll 10 gone "$broker"
    up 4
    ! step_done "$run" significance || fail "the step ended before the broker was killed"
    millrace resume component pattern_significance_analyzer
    await "$run" succeeded
    same_as_first "$run"
    equal "doubled results" "$(sql "select count(*) - count(distinct (step, level, batch)) from millrace.result where run_id = $run")" 0
}

what_needs_a_failed_step_is_not_run() {
    local run rc=0
    millrace run --pipeline "$work/chain.yaml" --set patterns.max_patterns=1 >"$work/stdout" 2>"$work/stderr" || rc=$?
    equal "the exit code" "$rc" 17
    run=$(sql "select max(id) from millrace.run")
    equal "failed steps" "$(millrace runs show "$run" --json | python3 -c '
import json, sys
print(" ".join(s["id"] for s in json.load(sys.stdin)["steps"] if s["state"] == "failed"))')" "patterns significance"
    equal "results of the step that was not run" \
        "$(sql "select count(*) from millrace.result r join millrace.run_step s on s.run_id = r.run_id and s.step = r.step
                where r.run_id = $run and s.name = 'significance'")" 0
    millrace runs show "$run" | grep -q '2 of 7 steps failed: .*pattern_discovery'
}

file() { # LINES...: as a pipeline
    printf '%s\n' 'dataset: baskets' 'steps:' "$@" >"$work/bad.yaml"
}

wrong_pipelines_are_refused_with_their_line() {
    local before check
    before=$(sql 'select count(*) from millrace.run')
    for check in run pipeline; do
        [[ $check == run ]] && command=("$bin/millrace" run --pipeline "$work/bad.yaml") || command=("$bin/millrace" pipeline check "$work/bad.yaml")
        file '  - {component: a, needs: [b]}' '  - {component: b, needs: [a]}'
        refused 3 'bad.yaml:3: the steps need each other in a circle: a needs b, which needs a' "${command[@]}"
        file '  - {component: pattern_discovry}'
        refused 4 "bad.yaml:3: there is no component 'pattern_discovry'; did you mean 'pattern_discovery'" "${command[@]}"
        file '  - component: pattern_discovery' '    options: {min_suport: 1}'
        refused 2 "bad.yaml:4: .*min_suport.*min_support" "${command[@]}"
        file '  - component: pattern_discovery' '    options:' '      min_support: 2'
        refused 3 "bad.yaml:5: .*min_support" "${command[@]}"
        file '  - {component: linguistic_analyzer}'
        refused 3 "bad.yaml:3: 'linguistic_analyzer' needs the column 'prompt'" "${command[@]}"
        file '  - {component: causal_inference_analyzer}' '  - {component: context_learner, needs: [causal_inference_analyzer]}'
        refused 3 "bad.yaml:4: 'context_learner' takes nothing from 'causal_inference_analyzer' by itself" "${command[@]}"
        file '  - {component: pattern_discovery}' \
            '  - {component: pattern_significance_analyzer, needs: [{step: pattern_discovery, artifact: rules}]}'
        refused 3 "bad.yaml:4: 'pattern_significance_analyzer' cannot read the artifact rules .* it reads patterns" "${command[@]}"
        file '  - {component: context_learner, needs: [{newest: multi_armed_bandit, artifact: model, as: features}]}'
        refused 4 "bad.yaml:3: no run of 'multi_armed_bandit' over this data set has left its model yet" "${command[@]}"
        file '  - {component: context_learner, apply: {run: 99, of: x}}'
        refused 4 "bad.yaml:3: run 99 has no step 'x'" "${command[@]}"
    done
    refused 4 "there is no pipeline 'standart'; did you mean 'standard'" "$bin/millrace" run --pipeline standart
    equal "runs that were made" "$(sql 'select count(*) from millrace.run')" "$before"
}

the_shipped_pipelines_run() {
    millrace pipelines | grep -q '^evaluation'
    millrace pipelines show standard >"$work/mine.yaml"
    millrace pipeline check "$work/mine.yaml" --dataset "$table" 2>"$work/stderr"
    grep -q 'left out: structure (no prompt)' "$work/stderr"
    millrace sample --rows 600 --seed 3 --output "$work/rows.jsonl"
    millrace ingest "$work/rows.jsonl"
    millrace run --pipeline standard
    millrace run --pipeline evaluation --dataset "$table"
    millrace report "$(sql 'select max(id) from millrace.run')" --output "$work/page.html"
    grep -q 'input from causal_inference_analyzer: result of this run, step 3 (' "$work/page.html"
}

it_ends_cleanly() {
    down
    ! grep -hE 'Sanitizer|runtime error' "$home"/log/*.log
}

check "a chain of seven steps runs, and shows what used what" a_chain_runs
check "significance tests the patterns that discovery found" the_patterns_that_were_found_are_tested
check "insight cites the effect and its run" the_effect_that_was_estimated_is_cited
check "the model is trained on the reduced features" the_model_is_trained_on_the_reduced_features
check "a stored model is applied, with the features that it knows" a_stored_model_is_applied
check "a model finds the roles of its run" a_model_finds_the_roles_of_its_run
check "a state takes in rows that come later, and leaves what one run leaves" a_state_takes_in_rows_that_come_later
check "millrace try --pipeline gives the same without services" without_services_it_is_the_same
check "components of one run are chained by themselves" components_of_one_run_are_chained_by_themselves
check "one worker gives the same bytes" again_is_the_same 1
check "four workers give the same bytes" again_is_the_same 4
check "a broker killed between two steps changes nothing" a_broker_killed_between_steps_changes_nothing
check "what needs a failed step is not run, the others are" what_needs_a_failed_step_is_not_run
check "wrong pipelines are refused with their line, and nothing is made" wrong_pipelines_are_refused_with_their_line
check "the shipped pipelines run" the_shipped_pipelines_run
check "it ends cleanly" it_ends_cleanly
finish

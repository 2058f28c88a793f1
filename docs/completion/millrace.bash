# bash completion of millrace; made by 'millrace completion bash'
_millrace() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= words= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -* ]] || { command=${COMP_WORDS[i]}; break; }
    done
    case $command,$before in
        ingest,--source) words=" user synthetic api" ;;
        prompts,--source) words=" any user synthetic api" ;;
        keys,--role) words=" viewer producer operator admin worker" ;;
    *) case $command in
        '') words="--help --version up down status doctor ingest sample run apply pipelines pipeline stream submit task runs results report cancel failures components try workers brokers datasets prompts sessions rejects artifacts tail dead repair pause resume limits schedules migrate keys audit config completion help" ;;
        up) words="--help --workers --foreground --broker --json --config --timeout --home" ;;
        down) words="--help --broker --json --config --timeout --home" ;;
        status) words="--help --broker --json --config --timeout --home" ;;
        doctor) words="--help --broker --json --config --timeout --home" ;;
        ingest) words="--help --map --table --types --max-chars --source --verbose --duplicates --update --broker --json --config --timeout --home" ;;
        sample) words="--help --rows --seed --output --broker --json --config --timeout --home" ;;
        run) words="--help --component --pipeline --set --dataset --version --batch-size --seed --role --name --priority --key --at --every --cron --wait --detach --broker --json --config --timeout --home" ;;
        apply) words="--help --model --dataset --version --set --role --batch-size --seed --name --priority --key --wait --detach --broker --json --config --timeout --home" ;;
        pipelines) words="--help --broker --json --config --timeout --home list show" ;;
        pipeline) words="--help --component --pipeline --set --dataset --version --batch-size --seed --role --name --priority --key --at --every --cron --wait --detach --broker --json --config --timeout --home check" ;;
        stream) words="--help --component --set --seed --name --priority --key --broker --json --config --timeout --home open close" ;;
        submit) words="--help --input --matrix --wait --single --window --key --verbose --broker --json --config --timeout --home" ;;
        task) words="--help --id --body --broker --json --config --timeout --home" ;;
        runs) words="--help --limit --after --broker --json --config --timeout --home list show" ;;
        results) words="--help --component --batches --full --limit --after --broker --json --config --timeout --home" ;;
        report) words="--help --output --broker --json --config --timeout --home" ;;
        cancel) words="--help --broker --json --config --timeout --home" ;;
        failures) words="--help --limit --after --broker --json --config --timeout --home" ;;
        components) words="--help --broker --json --config --timeout --home" ;;
        try) words="--help --input --pipeline --set --role --map --batch-size --seed --apply --save --json --describe" ;;
        workers) words="--help --broker --json --config --timeout --home" ;;
        brokers) words="--help --broker --json --config --timeout --home" ;;
        datasets) words="--help --broker --json --config --timeout --home" ;;
        prompts) words="--help --session --source --deleted --reason --limit --after --broker --json --config --timeout --home list show delete" ;;
        sessions) words="--help --limit --after --broker --json --config --timeout --home" ;;
        rejects) words="--help --ingest --limit --after --broker --json --config --timeout --home" ;;
        artifacts) words="--help --run --output --limit --after --broker --json --config --timeout --home list get" ;;
        tail) words="--help --count --topic --broker --json --config --timeout --home" ;;
        dead) words="--help --run --component --search --all --reason --limit --after --broker --json --config --timeout --home list show replay discard" ;;
        repair) words="--help --run --limit --after --broker --json --config --timeout --home list run" ;;
        pause) words="--help --reason --broker --json --config --timeout --home list component run client" ;;
        resume) words="--help --reason --broker --json --config --timeout --home list component run client" ;;
        limits) words="--help --concurrent --rate --burst --broker --json --config --timeout --home list set remove" ;;
        schedules) words="--help --component --pipeline --set --dataset --version --batch-size --seed --role --name --priority --key --at --every --cron --wait --detach --broker --json --config --timeout --home list add remove" ;;
        migrate) words="--help --to --yes --broker --json --config --timeout --home status up down" ;;
        keys) words="--help --role --folder --output --broker --json --config --timeout --home list create revoke rotate" ;;
        audit) words="--help --refused --limit --after --broker --json --config --timeout --home" ;;
        config) words="--help --of-broker --broker --json --config --timeout --home" ;;
        completion) words="--help --broker --json --config --timeout --home bash zsh fish" ;;
        help) words="--help --broker --json --config --timeout --home" ;;
        esac ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _millrace millrace

#include "broker/cli/pages.h"

#include <string.h>

/* ---- bash ---- */

static void put_flag(mr_buf *out, const char *name) {
    mr_buf_text(out, "--");
    for (; *name; name++) mr_buf_put(out, *name == '_' ? "-" : name, 1);
}

static void put_flags(mr_buf *out, const mr_option *row) {
    for (; row->name; row++) {
        if (row->secret) continue;
        mr_buf_text(out, " ");
        put_flag(out, row->name);
    }
}

static void put_words(mr_buf *out, const char *const *words) {
    for (; words && *words; words++) mr_buf_printf(out, " %s", *words);
}

/* `case` arms for the flags whose values are one of a few words. */
static void put_choices(mr_buf *out, const mr_cli_command *c) {
    for (const mr_option *row = c->options; row->name; row++) {
        if (row->type != MR_OPT_CHOICE) continue;
        mr_buf_printf(out, "        %s,", c->name);
        put_flag(out, row->name);
        mr_buf_text(out, ") words=\"");
        put_words(out, row->choices);
        mr_buf_text(out, "\" ;;\n");
    }
}

void mr_completion_bash(mr_buf *out) {
    mr_buf_text(
        out, "# bash completion of millrace; made by 'millrace completion bash'\n"
             "_millrace() {\n"
             "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= words= i\n"
             "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
             "        [[ ${COMP_WORDS[i]} == -* ]] || { command=${COMP_WORDS[i]}; break; }\n"
             "    done\n"
             "    case $command,$before in\n");
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++)
        if (!(*c)->hidden) put_choices(out, *c);
    mr_buf_text(out, "    *) case $command in\n        '') words=\"--help --version");
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++)
        if (!(*c)->hidden) mr_buf_printf(out, " %s", (*c)->name);
    mr_buf_text(out, "\" ;;\n");
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++) {
        if ((*c)->hidden) continue;
        mr_buf_printf(out, "        %s) words=\"--help", (*c)->name);
        put_flags(out, (*c)->options);
        put_words(out, (*c)->verbs);
        mr_buf_text(out, "\" ;;\n");
    }
    mr_buf_text(out, "        esac ;;\n"
                     "    esac\n"
                     "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
                     "}\n"
                     "complete -o default -F _millrace millrace\n");
}

/* ---- zsh ---- */

/* Text inside single quotes and a _arguments specification. */
static void put_quoted(mr_buf *out, const char *text) {
    for (; *text; text++) {
        if (*text == '\'')
            mr_buf_text(out, "'\\''");
        else if (strchr("[]:\\", *text))
            mr_buf_printf(out, "\\%c", *text);
        else
            mr_buf_put(out, text, 1);
    }
}

static void put_zsh_option(mr_buf *out, const mr_option *row) {
    mr_buf_text(out, " \\\n            '");
    if (row->type == MR_OPT_LIST) mr_buf_text(out, "*");
    put_flag(out, row->name);
    mr_buf_text(out, "[");
    put_quoted(out, row->help);
    mr_buf_text(out, "]");
    if (row->type == MR_OPT_CHOICE) {
        mr_buf_text(out, ":value:(");
        put_words(out, row->choices);
        mr_buf_text(out, ")");
    } else if (row->type != MR_OPT_BOOL) {
        mr_buf_text(out, ":value:_files");
    }
    mr_buf_text(out, "'");
}

void mr_completion_zsh(mr_buf *out) {
    mr_buf_text(out, "#compdef millrace\n"
                     "# zsh completion of millrace; made by 'millrace completion zsh'\n"
                     "_millrace() {\n"
                     "    local -a commands=(\n");
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++) {
        if ((*c)->hidden) continue;
        mr_buf_printf(out, "        '%s:", (*c)->name);
        put_quoted(out, (*c)->summary);
        mr_buf_text(out, "'\n");
    }
    mr_buf_text(out, "    )\n"
                     "    if (( CURRENT == 2 )); then\n"
                     "        _describe command commands\n"
                     "        return\n"
                     "    fi\n"
                     "    local command=$words[2]\n"
                     "    shift words\n"
                     "    (( CURRENT-- ))\n"
                     "    case $command in\n");
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++) {
        if ((*c)->hidden) continue;
        mr_buf_printf(out, "    %s)\n        _arguments '--help[explain the command]'", (*c)->name);
        for (const mr_option *row = (*c)->options; row->name; row++)
            if (!row->secret) put_zsh_option(out, row);
        if ((*c)->verbs) {
            mr_buf_text(out, " \\\n            '1:what:(");
            put_words(out, (*c)->verbs);
            mr_buf_text(out, ")'");
        }
        mr_buf_text(out, " \\\n            '*:operand:_files' ;;\n");
    }
    mr_buf_text(out, "    esac\n}\n_millrace \"$@\"\n");
}

/* ---- fish ---- */

static void put_fish_text(mr_buf *out, const char *text) {
    for (; *text; text++) {
        if (strchr("'\\", *text)) mr_buf_text(out, "\\");
        mr_buf_put(out, text, 1);
    }
}

static void put_fish_option(mr_buf *out, const char *command, const mr_option *row) {
    mr_buf_printf(out, "complete -c millrace -n '__fish_seen_subcommand_from %s' -l '", command);
    for (const char *p = row->name; *p; p++) mr_buf_put(out, *p == '_' ? "-" : p, 1);
    mr_buf_text(out, "'");
    if (row->flag) mr_buf_printf(out, " -s %c", row->flag);
    if (row->type == MR_OPT_CHOICE) {
        mr_buf_text(out, " -x -a '");
        put_words(out, row->choices);
        mr_buf_text(out, "'");
    } else if (row->type != MR_OPT_BOOL) {
        mr_buf_text(out, " -r");
    }
    mr_buf_text(out, " -d '");
    put_fish_text(out, row->help);
    mr_buf_text(out, "'\n");
}

void mr_completion_fish(mr_buf *out) {
    mr_buf_text(out, "# fish completion of millrace; made by 'millrace completion fish'\n");
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++) {
        if ((*c)->hidden) continue;
        mr_buf_printf(out, "complete -c millrace -f -n __fish_use_subcommand -a %s -d '", (*c)->name);
        put_fish_text(out, (*c)->summary);
        mr_buf_text(out, "'\n");
        if ((*c)->verbs) {
            mr_buf_printf(out, "complete -c millrace -f -n '__fish_seen_subcommand_from %s' -a '",
                          (*c)->name);
            put_words(out, (*c)->verbs);
            mr_buf_text(out, "'\n");
        }
        for (const mr_option *row = (*c)->options; row->name; row++)
            if (!row->secret) put_fish_option(out, (*c)->name, row);
    }
}

/* ---- the command ---- */

static const mr_option options[] = {MR_GLOBAL_OPTIONS};
static const char *const verbs[] = {"bash", "zsh", "fish", NULL};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    (void)config;
    void (*const put[])(mr_buf *) = {mr_completion_bash, mr_completion_zsh, mr_completion_fish};
    size_t verb;
    mr_buf out;
    MR_TRY(mr_cli_verb(cli, &verb, err));
    mr_buf_init(&out, NULL, 1 << 20);
    put[verb](&out);
    mr_status status = mr_program_print(&out, err);
    mr_buf_free(&out);
    return status;
}

const mr_cli_command mr_cli_completion = {
    .name = "completion",
    .summary = "print the completion script of a shell",
    .operands = "bash | zsh | fish",
    .example = "source <(millrace completion bash)\n"
               "millrace completion fish > ~/.config/fish/completions/millrace.fish\n",
    .verbs = verbs,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .config_size = sizeof(mr_globals),
    .run = run,
};

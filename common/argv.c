#include "common/settings.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What argp calls an option: a row's letter, or a number of its own; `--no-name` of a bool has the second
 * number. */
enum { KEY_ROW = 0x1000, KEY_NO = 0x2000, KEY_HELP = 0x3000, KEY_VERSION, FLAG_NAME = MR_OPTION_NAME + 4 };

/* What argp's callback needs. argp keeps pointers to names, so they live here. */
typedef struct parse {
    const mr_option *table;
    const mr_usage *usage;
    void *config;
    mr_args *args;
    mr_error *err;
    mr_status status;
    char names[2 * MR_SETTINGS_MAX][FLAG_NAME];
    struct argp_option options[2 * MR_SETTINGS_MAX + 3];
} parse;

static const char *flag_name(char out[FLAG_NAME], const char *before, const char *name) {
    snprintf(out, FLAG_NAME, "%s%s", before, name);
    for (char *c = out; *c; c++)
        if (*c == '_') *c = '-';
    return out;
}

static void make_options(parse *p) {
    size_t n = 0;
    for (int i = 0; p->table[i].name; i++) {
        const mr_option *row = &p->table[i];
        bool is_bool = row->type == MR_OPT_BOOL;
        MR_ASSERT(i < MR_SETTINGS_MAX);
        if (row->secret) continue;
        p->options[n] = (struct argp_option){.name = flag_name(p->names[n], "", row->name),
                                             .arg = "VALUE",
                                             .key = row->flag ? row->flag : KEY_ROW + i,
                                             .flags = is_bool ? OPTION_ARG_OPTIONAL : 0};
        n++;
        if (!is_bool) continue;
        p->options[n] =
            (struct argp_option){.name = flag_name(p->names[n], "no-", row->name), .key = KEY_NO + i};
        n++;
    }
    p->options[n++] = (struct argp_option){.name = "help", .key = KEY_HELP};
    p->options[n++] = (struct argp_option){.name = "version", .key = KEY_VERSION};
}

static const mr_option *row_of(const mr_option *table, int key) {
    if (key >= KEY_ROW) return &table[key & 0xfff];
    while (table->name && table->flag != key) table++;
    return table->name ? table : NULL;
}

static mr_status take_flag(parse *p, const mr_option *row, const char *value) {
    mr_args *a = p->args;
    if (a->flag_count == MR_ARGS_FLAGS)
        return mr_fail(p->err, MR_E_USAGE, "more than %d flags", MR_ARGS_FLAGS);
    a->flags[a->flag_count++] = (mr_flag){row, value};
    return p->config ? mr_option_set(p->table, p->config, row->name, value, p->err) : MR_OK;
}

/* argp only says that it stopped, so the word it stopped at is looked at again. */
static mr_status unknown(parse *p, const char *word) {
    char name[FLAG_NAME], near[FLAG_NAME];
    const char *start = word + strspn(word, "-"), *program = p->usage->program;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(start, "="), start);
    const mr_option *row = mr_option_find(p->table, name);
    if (!row && !name[1]) row = row_of(p->table, name[0]);
    if (row && row->secret)
        return mr_fail(p->err, MR_E_USAGE,
                       "%s is a secret, and everybody on the machine can read a command line; set it in the "
                       "environment or "
                       "in the settings file",
                       row->name);
    if (row)
        return mr_fail(p->err, MR_E_USAGE, "the flag '%.80s' needs a value; see %s --help", word, program);
    const char *nearest = mr_option_nearest(p->table, name);
    if (!nearest)
        return mr_fail(p->err, MR_E_USAGE, "there is no flag '%.80s'; see %s --help", word, program);
    return mr_fail(p->err, MR_E_USAGE, "there is no flag '%.80s'; did you mean --%s?", word,
                   flag_name(near, "", nearest));
}

static error_t on_key(int key, char *value, struct argp_state *state) {
    parse *p = state->input;
    switch (key) {
    case KEY_HELP:
        p->args->action = MR_ARGS_HELP;
        return 0;
    case KEY_VERSION:
        p->args->action = MR_ARGS_VERSION;
        return 0;
    case ARGP_KEY_ARGS:
        p->args->operands = state->argv + state->next;
        p->args->count = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_ARG:
        return ARGP_ERR_UNKNOWN; /* so that ARGP_KEY_ARGS gets all of them at once */
    case ARGP_KEY_ERROR:
        if (p->status == MR_OK) p->status = unknown(p, state->argv[state->next > 1 ? state->next - 1 : 0]);
        return 0;
    default:
        break;
    }
    if (key > KEY_VERSION || key <= 0)
        return ARGP_ERR_UNKNOWN; /* what argp itself says, such as ARGP_KEY_INIT */
    const mr_option *row = row_of(p->table, key);
    const char *given = key >= KEY_NO ? "false" : value ? value : "true";
    p->status = take_flag(p, row, given);
    return p->status == MR_OK ? 0 : EINVAL;
}

static mr_status check_operands(const mr_usage *u, const mr_args *a, mr_error *err) {
    if (a->action != MR_ARGS_RUN) return MR_OK;
    if (a->count < u->min_operands)
        return mr_fail(err, MR_E_USAGE, "%s needs %s; see %s --help", u->program,
                       u->operands ? u->operands : "an operand", u->program);
    if (a->count <= u->max_operands) return MR_OK;
    return mr_fail(err, MR_E_USAGE, "%s has no use for '%.80s'; see %s --help", u->program,
                   a->operands[u->max_operands], u->program);
}

mr_status mr_argv_parse(const mr_option *table, void *config, int argc, char **argv, const mr_usage *usage,
                        mr_args *args, mr_error *err) {
    parse *p = mr_new(NULL, 1, sizeof *p);
    if (!p) return mr_fail(err, MR_E_MEMORY, "no memory for the command line");
    *args = (mr_args){0};
    p->table = table;
    p->usage = usage;
    p->config = config;
    p->args = args;
    p->err = err;
    make_options(p);
    const struct argp argp = {.options = p->options, .parser = on_key};
    error_t failed = argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_EXIT | ARGP_NO_HELP, NULL, p);
    mr_status status = p->status;
    mr_free(NULL, p, 1, sizeof *p);
    if (status != MR_OK) return status;
    if (failed)
        return mr_fail(err, failed == ENOMEM ? MR_E_MEMORY : MR_E_USAGE, "the command line: %s",
                       strerror(failed));
    return check_operands(usage, args, err);
}

/* ---- help ---- */

enum { HELP_COLUMN = 28, HELP_WIDTH = 80 };

/* Words at `column`, wrapped at HELP_WIDTH. `at` is how far the line is filled already. */
static void put_wrapped(mr_buf *out, const char *text, size_t at, size_t column) {
    while (*text) {
        size_t n = strcspn(text, " ");
        if (at > column && at + 1 + n > HELP_WIDTH) {
            mr_buf_text(out, "\n");
            at = 0;
        } else if (at > column) {
            mr_buf_text(out, " ");
            at++;
        }
        if (at < column) {
            mr_buf_printf(out, "%*s", (int)(column - at), "");
            at = column;
        }
        mr_buf_put(out, text, n);
        at += n;
        text += n;
        text += strspn(text, " ");
    }
    mr_buf_text(out, "\n");
}

static const char *value_name(const mr_option *row) {
    switch (row->type) {
    case MR_OPT_BOOL:
        return "";
    case MR_OPT_INT:
        return "=N";
    case MR_OPT_NUMBER:
        return "=X";
    case MR_OPT_CHOICE:
        return "=WORD";
    default:
        return "=TEXT";
    }
}

/* Puts one remark of those in the brackets behind a flag's help. */
static const char *remark(mr_buf *out, const char *between) {
    mr_buf_text(out, between);
    return "; ";
}

/* "help (one of a, b; 1 to 10 rows; default 5)". */
static void describe(const mr_option *row, mr_buf *out) {
    bool bounded = row->min != 0 || row->max != 0;
    const char *between = " (";
    mr_buf_text(out, row->help);
    if (row->type == MR_OPT_CHOICE) {
        between = remark(out, between);
        for (size_t i = 0; row->choices[i]; i++)
            mr_buf_printf(out, "%s%s", i ? ", " : "one of ", row->choices[i]);
    }
    if (bounded || row->unit) {
        between = remark(out, between);
        if (bounded) mr_buf_printf(out, "%.15g to %.15g%s", row->min, row->max, row->unit ? " " : "");
        if (row->unit) mr_buf_text(out, row->unit);
    }
    if (row->type == MR_OPT_LIST) {
        between = remark(out, between);
        mr_buf_text(out, "may be repeated");
    }
    if (row->def && *row->def) {
        between = remark(out, between);
        mr_buf_printf(out, "default %s", row->def);
    }
    if (*between == ';') mr_buf_text(out, ")");
}

static void put_flag_help(const mr_option *row, mr_buf *out) {
    char name[FLAG_NAME], left[FLAG_NAME + 32];
    mr_buf text;
    char letter[8] = "    ";
    if (row->flag) snprintf(letter, sizeof letter, "-%c, ", row->flag);
    const char *before = row->type == MR_OPT_BOOL && row->def && !strcmp(row->def, "true") ? "[no-]" : "";
    int n = snprintf(left, sizeof left, "  %s--%s%s%s", letter, before, flag_name(name, "", row->name),
                     value_name(row));
    mr_buf_init(&text, out->mem, 4096);
    describe(row, &text);
    mr_buf_put(&text, "", 1);
    mr_buf_text(out, left);
    if (n >= HELP_COLUMN - 1) mr_buf_text(out, "\n"), n = 0;
    mr_buf_fail(out, mr_buf_status(&text));
    if (mr_buf_status(&text) == MR_OK) put_wrapped(out, (const char *)text.data, (size_t)n, HELP_COLUMN);
    mr_buf_free(&text);
}

void mr_argv_help(const mr_option *table, const mr_usage *usage, mr_buf *out) {
    mr_buf_printf(out, "Usage: %s [FLAG...]%s%s\n", usage->program, usage->operands ? " " : "",
                  usage->operands ? usage->operands : "");
    if (usage->summary) put_wrapped(out, usage->summary, 0, 0);
    if (usage->detail) mr_buf_printf(out, "\n%s\n", usage->detail);
    mr_buf_text(out, "\nFlags:\n");
    for (const mr_option *row = table; row->name; row++)
        if (!row->secret) put_flag_help(row, out);
    mr_buf_text(out,
                "      --help                show this help\n      --version             show the version\n");
    if (usage->example) mr_buf_printf(out, "\nExample:\n%s", usage->example);
}

void mr_argv_version(const mr_usage *usage, mr_buf *out) {
    mr_buf_printf(out, "%.*s " MR_VERSION "\n", (int)strcspn(usage->program, " "), usage->program);
}

/* ---- what every main does ---- */

mr_status mr_program_print(const mr_buf *text, mr_error *err) {
    mr_status status = mr_buf_status(text);
    if (status != MR_OK) return mr_fail(err, status, "the output is too large");
    if (fwrite(text->data, 1, text->len, stdout) == text->len && fflush(stdout) == 0) return MR_OK;
    return mr_fail(err, MR_E_IO, "writing to the standard output failed: %s", strerror(errno));
}

mr_status mr_program_answer(const mr_option *table, const mr_usage *usage, mr_args_action action, mr_error *err) {
    mr_buf out;
    mr_buf_init(&out, NULL, 1 << 20);
    if (action == MR_ARGS_HELP) mr_argv_help(table, usage, &out);
    else mr_argv_version(usage, &out);
    mr_status status = mr_program_print(&out, err);
    mr_buf_free(&out);
    return status;
}

int mr_program_end(const char *who, mr_status status, const mr_error *err) {
    bool named = !strncmp(err->text, "millrace", 8);
    if (status != MR_OK) fprintf(stderr, "%s%s%s\n", named ? "" : who, named ? "" : ": ", err->text);
    return mr_status_of((int)status)->exit_code;
}

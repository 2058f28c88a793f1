#include "broker/cli/command.h"

/* For the pages and completion alone: millrace-worker, which replaces this program, has the table that is
 * parsed. */
static const mr_option options[] = {
    {.name = "input",
     .type = MR_OPT_TEXT,
     .help = "rows: JSONL, CSV or TSV; - for standard input",
     .flag = 'i'},
    {.name = "pipeline", .type = MR_OPT_TEXT, .help = "a pipeline file to run in place of one component", .flag = 'P'},
    {.name = "set", .type = MR_OPT_TEXT, .help = "an option as NAME=VALUE; repeatable", .flag = 's'},
    {.name = "role", .type = MR_OPT_TEXT, .help = "a role as NAME=COLUMN; repeatable", .flag = 'r'},
    {.name = "map", .type = MR_OPT_TEXT, .help = "other names for keys: prompt=text", .flag = 'm'},
    {.name = "batch_size", .type = MR_OPT_INT, .def = "32", .help = "rows in a batch", .flag = 'b'},
    {.name = "seed", .type = MR_OPT_INT, .def = "1", .help = "of everything random"},
    {.name = "apply", .type = MR_OPT_TEXT, .help = "a stored model to apply to the rows", .flag = 'a'},
    {.name = "save", .type = MR_OPT_TEXT, .help = "folder for the artifacts", .flag = 'o'},
    {.name = "json", .type = MR_OPT_BOOL, .help = "everything, as one JSON object", .flag = 'j'},
    {.name = "describe", .type = MR_OPT_BOOL, .help = "tell what the component is and takes", .flag = 'd'},
    MR_OPTION_END,
};

const mr_cli_command mr_cli_try = {
    .name = "try",
    .summary = "run one component on one file, in this process, without any service",
    .operands = "COMPONENT | --pipeline=FILE",
    .example = "millrace try context_learner --input wine.csv --set min_cluster_size=8 --json\n"
               "millrace try --pipeline mine.yaml --input wine.csv\n",
    .max_operands = 1,
    .options = options,
    .program = "millrace-worker",
};

/* option.h: a typed option, declared once as a row of a table: the settings of a program, the flags of a command and
 * the options of a component are all tables of these. Parsing, bounds, defaults, help, man pages and completion come
 * from the rows. */
#ifndef MR_COMMON_OPTION_H
#define MR_COMMON_OPTION_H

#include "common/buf.h"

/* The C type of the field that a row describes. */
typedef enum mr_option_type {
    MR_OPT_BOOL,   /* bool */
    MR_OPT_INT,    /* int64_t, bounds apply */
    MR_OPT_NUMBER, /* double, bounds apply; never NaN or infinite */
    MR_OPT_TEXT,   /* char[MR_OPTION_TEXT], NUL-terminated UTF-8 */
    MR_OPT_CHOICE, /* int64_t: which of the words in `choices`, from 0 */
    MR_OPT_LIST    /* mr_option_list: the flag may be given several times; not for component options */
} mr_option_type;

enum { MR_OPTION_TEXT = 256, MR_OPTION_NAME = 48, MR_OPTION_LIST = 64 };

typedef struct mr_option_list {
    size_t count;
    char items[MR_OPTION_LIST][MR_OPTION_TEXT];
} mr_option_list;

typedef struct mr_option {
    const char *name;          /* lower case with '_'; the flag is the same with '-' */
    mr_option_type type;
    size_t offset;             /* of the field in its config struct */
    const char *def;           /* default, as text; NULL: false, 0, "" */
    double min, max;           /* inclusive; both 0: any */
    const char *const *choices; /* NULL-terminated, for MR_OPT_CHOICE */
    const char *unit;          /* "rows", "ms", "MiB"; NULL for none */
    const char *help;          /* one line, no full stop */
    char flag;                 /* one-letter flag, 0 for none */
    bool secret;               /* never shown; only from a file or the environment */
    const char *group;         /* for YAML settings: the section; NULL for the top */
} mr_option;

#define MR_OPTION_END {0}

/* The row with that name ('-' counts as '_'), or NULL. Tables end with MR_OPTION_END. */
const mr_option *mr_option_find(const mr_option *table, const char *name);
/* The name in the table that is nearest to `name`, or NULL when none is near. */
const char *mr_option_nearest(const mr_option *table, const char *name);

/* Fills `config` (zeroed by the caller) with every default. A default that its own row refuses is a broken invariant. */
void mr_option_defaults(const mr_option *table, void *config);

/* Sets one field from text. Errors: E_USAGE unknown name (with the nearest), E_INVALID wrong type or out of bounds. */
mr_status mr_option_set(const mr_option *table, void *config, const char *name, const char *value,
                        mr_error *err) MR_MUST_CHECK;

/* The field's value as canonical text (numbers as "%.17g", shortest that reads back). Secrets give "(set)" or "". */
void mr_option_get(const mr_option *row, const void *config, mr_buf *out);

/* Which of the NULL-terminated `words` is nearest by edit distance, or NULL when none is within half its length. */
const char *mr_nearest_word(const char *const *words, const char *word);

#endif

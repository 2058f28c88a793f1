/* page.h: the flags of commands that list page by page. */
#ifndef MR_BROKER_CLI_PAGE_H
#define MR_BROKER_CLI_PAGE_H

#include "broker/cli/view.h"

typedef struct mr_page {
    mr_globals globals;
    int64_t limit, after;
} mr_page;

#define MR_PAGE_OPTIONS                                                                                      \
    {.name = "limit",                                                                                        \
     .type = MR_OPT_INT,                                                                                     \
     .offset = offsetof(mr_page, limit),                                                                     \
     .def = "100",                                                                                           \
     .min = 1,                                                                                               \
     .max = 1000,                                                                                            \
     .unit = "rows",                                                                                         \
     .help = "rows on a page",                                                                               \
     .flag = 'n'},                                                                                           \
    {                                                                                                        \
        .name = "after", .type = MR_OPT_INT, .offset = offsetof(mr_page, after), .min = 0, .max = 9e15,      \
        .help = "the last id of the page before"                                                             \
    }

static inline void mr_page_params(mr_params *p, const mr_page *page) {
    mr_params_u64(p, "limit", (uint64_t)page->limit);
    if (page->after) mr_params_u64(p, "after", (uint64_t)page->after);
}

#endif

/* Any bytes as a table: opening and reading end in a status, and what is read goes over the wire unchanged.
 */
#include "common/rows.h"

#include <stdlib.h>

static void check_wire(mr_table_schema s, const mr_cell *cells) {
    mr_buf b;
    mr_unpack u;
    mr_cell *back = calloc(s.count, sizeof *back);
    mr_buf_init(&b, NULL, 1 << 24);
    mr_table_row_pack(&b, s, cells);
    mr_unpack_init(&u, mr_buf_span(&b));
    MR_ASSERT(back && mr_buf_status(&b) == MR_OK);
    MR_ASSERT(mr_table_row_unpack(&u, s, back, NULL) == MR_OK && mr_unpack_done(&u));
    mr_buf_free(&b);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_table *t;
    mr_table_options o = {.max_record = 1024};
    if (size == 0) return 0;
    o.format = (mr_table_format)(data[0] % 4);
    if (mr_table_open_memory(NULL, "fuzz", (mr_span){data + 1, size - 1}, &o, &t, NULL) != MR_OK) return 0;
    for (;;) {
        const mr_cell *cells;
        mr_where where;
        mr_status status = mr_table_next(t, &cells, &where, NULL);
        if (status == MR_OK)
            check_wire(mr_table_schema_of(t), cells);
        else if (status != MR_E_INVALID && status != MR_E_LIMIT)
            break;
    }
    mr_table_close(&t);
    return 0;
}

#include "worker/kit/report_log.h"

#include "worker/kit/columns.h"

#include <math.h>

enum { HEADER_MAX = 3 << 20 /* names of trials */ };
static const char magic[] = "reports-1";

mr_status mr_report_log_init(mr_report_log *l, mr_arena *arena, size_t bytes, mr_error *err) {
    *l = (mr_report_log){.room = mr_sample_fits(bytes - HEADER_MAX, MR_REPORT_WIDTH), .arena = arena};
    mr_sample_init(&l->reports, arena, 0, l->room, MR_REPORT_WIDTH);
    return mr_words_init(&l->names, arena, MR_REPORT_TRIALS_MAX, err);
}

static const double *values(const mr_batch *b) {
    static const int roles[] = {MR_NUM_OUTCOME, MR_NUM_SUCCESS, MR_NUM_SCORE};
    for (int i = 0; i < 3; i++)
        if (b->number[roles[i]]) return b->number[roles[i]];
    return NULL;
}

static mr_status check_room(const mr_report_log *l, mr_error *err) {
    if (l->rows <= l->room) return MR_OK;
    return mr_fail(err, MR_E_LIMIT,
                   "there are more than %zu rows; take fewer, or only every n-th report of a trial", l->room);
}

static mr_status add_row(const mr_batch *b, size_t i, double value, mr_report_log *l, mr_error *err) {
    double row[MR_REPORT_WIDTH] = {0, value, l->treatment ? b->number[MR_NUM_TREATMENT][i] : 0,
                                   l->time ? b->number[MR_NUM_TIME][i] : 0};
    uint64_t at = b->first + i;
    l->rows++;
    if (l->trials && b->text[MR_TEXT_ITEM][i].len == 0) return MR_OK;
    if (isnan(value) || isnan(row[MR_REPORT_TREATMENT]) || isnan(row[MR_REPORT_TIME])) return MR_OK;
    if (fabs(value) > 1e140 || isinf(row[MR_REPORT_TREATMENT]) || isinf(row[MR_REPORT_TIME]))
        return mr_fail(err, MR_E_INVALID, "row %llu holds a value that is infinite or beyond 1e140",
                       (unsigned long long)at);
    if (l->trials) {
        size_t index;
        MR_TRY(mr_words_add(&l->names, b->text[MR_TEXT_ITEM][i], &index, err));
        row[MR_REPORT_TRIAL] = (double)l->names.items[index].hash;
    }
    return mr_sample_add(&l->reports, at, row, err);
}

mr_status mr_report_log_add(mr_report_log *l, const mr_batch *b, const mr_ticker *tick, mr_error *err) {
    const double *value = values(b);
    if (!value)
        return mr_fail(err, MR_E_INVALID,
                       "no column holds outcomes; bind one with the role 'outcome' or 'success'");
    l->trials = b->text[MR_TEXT_ITEM] != NULL;
    l->treatment = !l->trials && b->number[MR_NUM_TREATMENT];
    l->time = b->number[MR_NUM_TIME] != NULL;
    for (size_t i = 0; i < b->rows; i++) {
        MR_TRY(mr_ticker_call(tick));
        MR_TRY(add_row(b, i, value[i], l, err));
    }
    return check_room(l, err);
}

mr_status mr_report_log_pack(const mr_report_log *l, mr_buf *out, mr_error *err) {
    mr_pack_array(out, 7);
    mr_pack_text(out, magic);
    mr_pack_u64(out, l->rows);
    mr_pack_bool(out, l->trials);
    mr_pack_bool(out, l->treatment);
    mr_pack_bool(out, l->time);
    MR_TRY(mr_words_pack(&l->names, out, err));
    mr_sample_pack(&l->reports, out);
    return MR_OK;
}

mr_status mr_report_log_add_packed(mr_report_log *l, mr_span packed, mr_error *err) {
    mr_unpack u;
    uint64_t rows;
    bool flags[3];
    mr_unpack_init(&u, packed);
    MR_TRY(mr_unpack_magic(&u, magic, 7, err));
    MR_TRY(mr_unpack_u64(&u, UINT32_MAX, &rows, err));
    for (int i = 0; i < 3; i++) MR_TRY(mr_unpack_bool(&u, &flags[i], err));
    l->rows += rows;
    l->trials |= flags[0];
    l->treatment |= flags[1];
    l->time |= flags[2];
    MR_TRY(check_room(l, err));
    MR_TRY(mr_words_add_packed(&l->names, &u, err));
    return mr_sample_add_packed(&l->reports, &u, err);
}

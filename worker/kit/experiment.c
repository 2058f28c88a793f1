#include "worker/kit/experiment.h"

#include <math.h>
#include <string.h>

static const char magic[] = "experiment-1";

void mr_experiment_init(mr_experiment *e, mr_arena *arena, bool covariate, uint64_t last) {
    *e = (mr_experiment){.arena = arena, .covariate = covariate, .last = last};
    while (last >> e->shift >= MR_LOOKS) e->shift++;
}

unsigned mr_experiment_looks(const mr_experiment *e) { return (unsigned)(e->last >> e->shift) + 1; }

mr_status mr_experiment_arm(mr_experiment *e, mr_span name, uint32_t *out, mr_error *err) {
    for (*out = 0; *out < e->arm_count; ++*out)
        if (mr_span_eq(e->arm[*out], name)) return MR_OK;
    if (name.len > MR_ARM_NAME)
        return mr_fail(err, MR_E_INVALID, "the name of an arm has %zu bytes; at most %d are allowed",
                       name.len, MR_ARM_NAME);
    if (e->arm_count == MR_ARMS)
        return mr_fail(err, MR_E_INVALID,
                       "there are more than %d arms; give a column with one value for each arm", MR_ARMS);
    char *copy = mr_arena_copy(e->arena, name.data, name.len);
    if (!copy) return mr_fail(err, MR_E_MEMORY, "no memory for the name of an arm");
    e->arm[e->arm_count++] = (mr_span){(const uint8_t *)copy, name.len};
    return MR_OK;
}

static mr_cell *cell_at(mr_experiment *e, uint64_t look, uint32_t arm) {
    mr_cell **at = &e->cell[look][arm];
    if (!*at) *at = mr_arena_alloc(e->arena, 1, sizeof **at);
    return *at;
}

mr_status mr_experiment_add(mr_experiment *e, uint64_t position, uint32_t arm, double y, double x,
                            mr_error *err) {
    mr_cell *c = cell_at(e, position >> e->shift, arm);
    if (!c) return mr_fail(err, MR_E_MEMORY, "no memory for the sums of a look");
    mr_exact_term v = mr_exact_split(y);
    e->rows++;
    e->other += y != 0 && y != 1;
    c->n++;
    mr_exact_add_term(&c->sum[MR_SUM_Y], v);
    mr_exact_add_product(&c->sum[MR_SUM_YY], v, v);
    if (!e->covariate) return MR_OK;
    mr_exact_term u = mr_exact_split(x);
    mr_exact_add_term(&c->sum[MR_SUM_X], u);
    mr_exact_add_product(&c->sum[MR_SUM_XX], u, u);
    mr_exact_add_product(&c->sum[MR_SUM_XY], u, v);
    return MR_OK;
}

/* ---- bytes: [magic, last, covariate, rows, left out, other, [arms], [look, arm, n, sums, ...]] ---- */

static bool before(mr_span a, mr_span b) {
    int c = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return c ? c < 0 : a.len < b.len;
}

/* The arms in the order of their names, so that the bytes do not tell which was met first. */
static void sorted_arms(const mr_experiment *e, uint32_t order[MR_ARMS]) {
    for (uint32_t i = 0; i < e->arm_count; i++) {
        uint32_t at = i;
        for (; at > 0 && before(e->arm[i], e->arm[order[at - 1]]); at--) order[at] = order[at - 1];
        order[at] = i;
    }
}

static void pack_cell(const mr_cell *cell, bool covariate, mr_buf *out) {
    mr_exact copy[MR_SUMS];
    uint8_t room[MR_SUMS * MR_EXACT_BYTES_MAX];
    mr_buf bytes = {.data = room, .cap = sizeof room, .max = sizeof room};
    int sums = covariate ? MR_SUMS : MR_SUM_X;
    memcpy(copy, cell->sum, (size_t)sums * sizeof *copy);
    for (int k = 0; k < sums; k++) mr_exact_pack(&copy[k], &bytes);
    mr_pack_bin(out, mr_buf_span(&bytes));
}

void mr_experiment_pack(const mr_experiment *e, mr_buf *out) {
    uint32_t order[MR_ARMS], cells = 0;
    unsigned looks = mr_experiment_looks(e);
    sorted_arms(e, order);
    mr_pack_array(out, 8);
    mr_pack_text(out, magic);
    mr_pack_u64(out, e->last);
    mr_pack_bool(out, e->covariate);
    mr_pack_u64(out, e->rows);
    mr_pack_u64(out, e->left_out);
    mr_pack_u64(out, e->other);
    mr_pack_array(out, e->arm_count);
    for (uint32_t i = 0; i < e->arm_count; i++) mr_pack_str(out, e->arm[order[i]]);
    size_t at = mr_pack_open_array(out);
    for (unsigned look = 0; look < looks; look++)
        for (uint32_t i = 0; i < e->arm_count; i++) {
            const mr_cell *c = e->cell[look][order[i]];
            if (!c) continue;
            mr_pack_u64(out, look);
            mr_pack_u64(out, i);
            mr_pack_u64(out, c->n);
            pack_cell(c, e->covariate, out);
            cells++;
        }
    mr_pack_patch(out, at, 4 * cells);
}

static mr_status read_head(mr_unpack *u, uint64_t *last, bool *covariate, mr_error *err) {
    uint32_t parts;
    mr_span text;
    MR_TRY(mr_unpack_array(u, 8, &parts, err));
    MR_TRY(mr_unpack_str(u, 64, &text, err));
    if (parts != 8 || !mr_span_eq(text, mr_span_of(magic)))
        return mr_fail(err, MR_E_CORRUPT, "these bytes are not '%s'", magic);
    MR_TRY(mr_unpack_u64(u, UINT64_MAX >> 1, last, err));
    return mr_unpack_bool(u, covariate, err);
}

mr_status mr_experiment_last(mr_span bytes, uint64_t *last, bool *covariate, mr_error *err) {
    mr_unpack u;
    mr_unpack_init(&u, bytes);
    return read_head(&u, last, covariate, err);
}

static mr_status add_cell(mr_experiment *e, mr_unpack *in, unsigned shift, const uint32_t *arms,
                          uint32_t count, mr_error *err) {
    uint64_t look, arm, n;
    mr_span bytes;
    MR_TRY(mr_unpack_u64(in, MR_LOOKS - 1, &look, err));
    MR_TRY(mr_unpack_u64(in, MR_ARMS - 1, &arm, err));
    MR_TRY(mr_unpack_u64(in, UINT32_MAX, &n, err));
    MR_TRY(mr_unpack_bin(in, MR_SUMS * MR_EXACT_BYTES_MAX, &bytes, err));
    if (arm >= count) return mr_fail(err, MR_E_CORRUPT, "a look has rows of an unknown arm");
    mr_cell *c = cell_at(e, look >> (e->shift - shift), arms[arm]);
    if (!c) return mr_fail(err, MR_E_MEMORY, "no memory for the sums of a look");
    c->n += n;
    for (int k = 0; k < (e->covariate ? MR_SUMS : MR_SUM_X); k++) {
        bool product = k == MR_SUM_YY || k == MR_SUM_XX || k == MR_SUM_XY;
        MR_TRY(mr_exact_add_packed(&c->sum[k], &bytes, product, err));
    }
    return MR_OK;
}

mr_status mr_experiment_add_packed(mr_experiment *e, mr_unpack *in, mr_error *err) {
    uint64_t last, rows, left_out, other;
    uint32_t count, items, arms[MR_ARMS];
    bool covariate;
    unsigned shift = 0;
    mr_span name;
    MR_TRY(read_head(in, &last, &covariate, err));
    if (covariate != e->covariate || last > e->last)
        return mr_fail(err, MR_E_INVALID, "the batches do not have the same columns");
    MR_TRY(mr_unpack_u64(in, UINT64_MAX >> 2, &rows, err));
    MR_TRY(mr_unpack_u64(in, UINT64_MAX >> 2, &left_out, err));
    MR_TRY(mr_unpack_u64(in, rows, &other, err));
    e->rows += rows;
    e->left_out += left_out;
    e->other += other;
    MR_TRY(mr_unpack_array(in, MR_ARMS, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        MR_TRY(mr_unpack_str(in, MR_ARM_NAME, &name, err));
        MR_TRY(mr_experiment_arm(e, name, &arms[i], err));
    }
    while (last >> shift >= MR_LOOKS) shift++;
    MR_TRY(mr_unpack_array(in, 4 * MR_LOOKS * MR_ARMS, &items, err));
    for (uint32_t i = 0; i < items / 4; i++) MR_TRY(add_cell(e, in, shift, arms, count, err));
    return MR_OK;
}

/* ---- moments ---- */

/* The two sums become their total; packing is how exact numbers are added. */
static void add_exact(mr_exact *to, mr_exact *from) {
    uint8_t room[MR_EXACT_BYTES_MAX];
    mr_buf bytes = {.data = room, .cap = sizeof room, .max = sizeof room};
    mr_exact_pack(from, &bytes);
    mr_span rest = mr_buf_span(&bytes);
    mr_error err;
    mr_status status = mr_exact_add_packed(to, &rest, true, &err);
    MR_ASSERT(status == MR_OK);
}

static double comoment(uint64_t n, mr_exact *xy, mr_exact *x, mr_exact *y) {
    mr_exact d;
    mr_exact_comoment(&d, n, xy, x, y);
    return mr_exact_value(&d) / (double)n / (double)(n - 1);
}

static mr_arm_sums moments(mr_cell *c, bool covariate) {
    double n = (double)c->n;
    mr_arm_sums s = {n, NAN, NAN, NAN, NAN, NAN};
    if (c->n > 0) s.y = mr_exact_value(&c->sum[MR_SUM_Y]) / n;
    if (c->n > 0 && covariate) s.x = mr_exact_value(&c->sum[MR_SUM_X]) / n;
    if (c->n > 1) s.var_y = comoment(c->n, &c->sum[MR_SUM_YY], &c->sum[MR_SUM_Y], &c->sum[MR_SUM_Y]);
    if (c->n < 2 || !covariate) return s;
    s.var_x = comoment(c->n, &c->sum[MR_SUM_XX], &c->sum[MR_SUM_X], &c->sum[MR_SUM_X]);
    s.cov = comoment(c->n, &c->sum[MR_SUM_XY], &c->sum[MR_SUM_X], &c->sum[MR_SUM_Y]);
    return s;
}

static void add_look(const mr_experiment *e, unsigned look, uint32_t arm, mr_cell *all) {
    mr_cell *c = e->cell[look][arm];
    if (!c) return;
    all->n += c->n;
    for (int k = 0; k < (e->covariate ? MR_SUMS : MR_SUM_X); k++) add_exact(&all->sum[k], &c->sum[k]);
}

mr_status mr_experiment_path(const mr_experiment *e, uint32_t arm, mr_arm_sums **out, mr_error *err) {
    unsigned looks = mr_experiment_looks(e);
    mr_cell *all = mr_arena_alloc(e->arena, 1, sizeof *all);
    *out = mr_arena_alloc(e->arena, looks, sizeof **out);
    if (!*out || !all) return mr_fail(err, MR_E_MEMORY, "no memory for %u looks", looks);
    for (unsigned look = 0; look < looks; look++) {
        add_look(e, look, arm, all);
        (*out)[look] = moments(all, e->covariate);
    }
    return MR_OK;
}

mr_arm_sums mr_experiment_pooled(const mr_experiment *e, unsigned arms) {
    mr_cell all = {0};
    for (uint32_t arm = 0; arm < e->arm_count; arm++)
        for (unsigned look = 0; look < mr_experiment_looks(e) && (arms >> arm & 1); look++)
            add_look(e, look, arm, &all);
    return moments(&all, e->covariate);
}

#include "worker/kit/crosses.h"
#include "worker/kit/product.h"

#include <math.h>
#include <string.h>

/* Slices stand in strips of LANES side by side; STEP rows are multiplied before anything could round. */
enum { LANES = MR_TILE, TILE = LANES * LANES, STEP = 128, BITS = 24, SAMPLED = 512, MARGIN = 4, LEAST = -900 };
static const double ROUND = 0x1.8p52, HIGH = 0x1.8p78; /* adding and subtracting rounds to multiples of 1, of 2^26 */

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static double value_at(const mr_crosses *c, size_t row, size_t column) {
    return column < c->in.width ? c->in.x[row * c->in.width + column] : c->in.y[row];
}

static bool counts(const mr_crosses *c, size_t row) { return !c->in.y || !isnan(c->in.y[row]); }

/* ---- the grid ---- */

/* The bits from 2^exponent down to the last of x, which is not 0. */
static int depth_of(double x, int exponent) {
    mr_exact_term t = mr_exact_split(x);
    return exponent - t.exponent - __builtin_ctzll(t.mantissa);
}

/* What most rows need, by some of them. */
static uint32_t slices_for(const mr_crosses *c, size_t column, int exponent) {
    size_t every = c->in.rows / SAMPLED + 1;
    int deepest = 0;
    for (size_t i = 0; i < c->in.rows; i += every) {
        double v = value_at(c, i, column);
        if (v == 0 || !counts(c, i)) continue;
        int depth = depth_of(v, exponent);
        if (depth > deepest) deepest = depth;
    }
    if (c->in.rows > SAMPLED && deepest > 53) deepest += MARGIN;
    size_t slices = (size_t)(deepest + 1 + BITS - 1) / BITS; /* the first slice's 24 bits hold a sign */
    return (uint32_t)least(slices, MR_CROSS_SLICES);
}

static void find_largest(const mr_crosses *c, double *largest) {
    size_t w = c->in.width;
    for (size_t i = 0; i < c->in.rows; i++) {
        const double *row = c->in.x + i * w;
        if (!counts(c, i)) continue;
        for (size_t j = 0; j < w; j++) largest[j] = fabs(row[j]) > largest[j] ? fabs(row[j]) : largest[j];
        if (c->in.y) largest[w] = fabs(c->in.y[i]) > largest[w] ? fabs(c->in.y[i]) : largest[w];
    }
}

/* Those with the most slices first, so that a level is the first so many columns. */
static void lay_out(mr_crosses *c) {
    size_t place = 0;
    for (uint32_t s = MR_CROSS_SLICES + 1; s-- > 0;) {
        if (s < MR_CROSS_SLICES) c->level[s + 1] = place;
        for (size_t j = 0; j < c->columns; j++)
            if (c->of[j].slices == s) c->of[j].place = (uint32_t)place++;
    }
    c->slices = 1;
    for (size_t l = 0; l < MR_CROSS_SLICES; l++) {
        size_t here = c->level[l + 1];
        c->level[l] = c->slices;
        c->slices += here;
    }
    c->level[MR_CROSS_SLICES] = c->slices;
    c->strips = (c->slices + LANES - 1) / LANES;
}

static mr_status make_grid(mr_crosses *c, mr_arena *arena, mr_error *err) {
    double *largest = mr_arena_alloc(arena, c->columns, sizeof *largest);
    c->of = mr_arena_alloc(arena, c->columns, sizeof *c->of);
    if (!largest || !c->of) return mr_fail(err, MR_E_MEMORY, "no memory for %zu columns", c->columns);
    find_largest(c, largest);
    for (size_t j = 0; j < c->columns; j++) {
        frexp(largest[j], &c->of[j].exponent);
        bool fits = largest[j] > 0 && c->of[j].exponent > LEAST; /* no slice reaches below mr_exact's digits */
        c->of[j].slices = fits ? slices_for(c, j, c->of[j].exponent) : 0;
    }
    lay_out(c);
    return MR_OK;
}

/* ---- rows into slices ---- */

typedef struct slicer {
    double *scale;            /* by place: brings |value| to 2^23 at most */
    uint32_t *column;         /* by place */
    double *value, *left;     /* by place */
    double *row;              /* strips * LANES: the slices of a row */
    double *strip;            /* strips x STEP x LANES */
    uint32_t *rest;
} slicer;

static mr_status slicer_init(slicer *s, const mr_crosses *c, mr_arena *arena, mr_error *err) {
    s->scale = mr_arena_alloc(arena, c->columns, sizeof(double));
    s->column = mr_arena_alloc(arena, c->columns, sizeof *s->column);
    s->value = mr_arena_alloc(arena, c->columns, sizeof(double));
    s->left = mr_arena_alloc(arena, c->columns, sizeof(double));
    s->row = mr_arena_alloc(arena, c->strips * LANES, sizeof(double));
    s->strip = mr_arena_alloc(arena, c->strips * LANES * STEP, sizeof(double));
    s->rest = mr_arena_alloc(arena, c->in.rows + 1, sizeof *s->rest);
    if (!s->scale || !s->column || !s->value || !s->left || !s->row || !s->strip || !s->rest)
        return mr_fail(err, MR_E_MEMORY, "no memory for the slices of %zu columns", c->columns);
    for (size_t j = 0; j < c->columns; j++) {
        const mr_cross_column *of = &c->of[j];
        s->column[of->place] = (uint32_t)j;
        s->scale[of->place] = of->slices ? ldexp(1, BITS - 1 - of->exponent) : 0;
    }
    return MR_OK;
}

/* The slices of a row behind its 1; false when they do not hold all of it. */
static bool cut(const slicer *s, const mr_crosses *c) {
    double *restrict left = s->left;
    int lost = 0;
    for (size_t p = 0; p < c->columns; p++) {
        left[p] = s->value[p] * s->scale[p];
        lost |= (left[p] == 0) != (s->value[p] == 0); /* far below the column's largest */
    }
    for (size_t l = 0; l < MR_CROSS_SLICES; l++) {
        double *restrict out = s->row + c->level[l];
        for (size_t p = 0; p < c->level[l + 1] - c->level[l]; p++) {
            out[p] = left[p] + ROUND - ROUND;
            left[p] = (left[p] - out[p]) * (1 << BITS);
        }
    }
    for (size_t p = 0; p < c->columns; p++) lost |= left[p] != 0;
    return !lost;
}

static void take_row(slicer *s, mr_crosses *c, size_t row, size_t at) {
    bool whole = false;
    if (counts(c, row)) {
        for (size_t p = 0; p < c->columns; p++) s->value[p] = value_at(c, row, s->column[p]);
        s->row[0] = 1;
        whole = cut(s, c);
        if (!whole) s->rest[c->rests++] = (uint32_t)row;
    }
    if (!whole) memset(s->row, 0, c->strips * LANES * sizeof *s->row);
    for (size_t i = 0; i < c->strips; i++)
        memcpy(s->strip + (i * STEP + at) * LANES, s->row + i * LANES, LANES * sizeof *s->row);
}

/* ---- products ---- */

static void multiply(const double *a, const double *b, size_t depth, double *high, double *low) {
    double sum[TILE] = {0};
    mr_tile(a, b, depth, sum);
    for (size_t i = 0; i < TILE; i++) {
        double part = sum[i] + HIGH - HIGH;
        high[i] += part;
        low[i] += sum[i] - part;
    }
}

static size_t tile_at(size_t i, size_t j) { return (j * (j + 1) / 2 + i) * TILE; } /* i <= j */

static void multiply_strips(const slicer *s, mr_crosses *c, size_t depth) {
    for (size_t j = 0; j < c->strips; j++)
        for (size_t i = 0; i <= j; i++)
            multiply(s->strip + i * STEP * LANES, s->strip + j * STEP * LANES, depth, c->high + tile_at(i, j),
                     c->low + tile_at(i, j));
}

static mr_status keep_rests(const slicer *s, mr_crosses *c, mr_arena *arena, mr_error *err) {
    c->rest = mr_arena_alloc(arena, c->rests * c->columns + 1, sizeof *c->rest);
    if (!c->rest) return mr_fail(err, MR_E_MEMORY, "no memory for the sums of %zu rows", c->rests);
    for (size_t j = 0; j < c->columns; j++)
        for (size_t i = 0; i < c->rests; i++) c->rest[j * c->rests + i] = mr_exact_split(value_at(c, s->rest[i], j));
    return MR_OK;
}

mr_status mr_crosses_of(mr_cross_rows in, mr_arena *arena, const mr_ticker *tick, mr_crosses *out, mr_error *err) {
    slicer s;
    MR_ASSERT(in.rows < (size_t)1 << 29);
    *out = (mr_crosses){.in = in, .columns = in.width + (in.y != NULL)};
    MR_TRY(make_grid(out, arena, err));
    size_t tiles = tile_at(0, out->strips);
    out->high = mr_arena_alloc(arena, tiles, sizeof(double));
    out->low = mr_arena_alloc(arena, tiles, sizeof(double));
    if (!out->high || !out->low) return mr_fail(err, MR_E_MEMORY, "no memory for the products of %zu columns", out->columns);
    MR_TRY(slicer_init(&s, out, arena, err));
    for (size_t at = 0; at < in.rows; at += STEP) {
        size_t depth = least(STEP, in.rows - at);
        MR_TRY(mr_ticker_call(tick));
        for (size_t i = 0; i < depth; i++) take_row(&s, out, at + i, i);
        multiply_strips(&s, out, depth);
    }
    return keep_rests(&s, out, arena, err);
}

/* ---- sums ---- */

static size_t element(size_t a, size_t b) {
    size_t i = a < b ? a : b, j = a < b ? b : a;
    return tile_at(i / LANES, j / LANES) + i % LANES * LANES + j % LANES;
}

/* The exponent of the unit of a column's slice of level 0. */
static int unit_of(const mr_cross_column *of) { return of->exponent - (BITS - 1); }

static void add_parts(double high, double low, int exponent, mr_exact *to) {
    mr_exact_add_scaled(to, high, exponent);
    mr_exact_add_scaled(to, low, exponent);
}

void mr_crosses_add_sum(const mr_crosses *c, size_t j, mr_exact *to) {
    const mr_cross_column *of = &c->of[j];
    for (uint32_t l = 0; l < of->slices; l++) {
        size_t at = element(0, c->level[l] + of->place);
        add_parts(c->high[at], c->low[at], unit_of(of) - BITS * (int)l, to);
    }
    for (size_t i = 0; i < c->rests; i++) mr_exact_add_term(to, c->rest[j * c->rests + i]);
}

void mr_crosses_add_product(const mr_crosses *c, size_t j, size_t k, mr_exact *to) {
    const mr_cross_column *x = &c->of[j], *y = &c->of[k];
    double high[2 * MR_CROSS_SLICES] = {0}, low[2 * MR_CROSS_SLICES] = {0};
    for (uint32_t l = 0; l < x->slices; l++)
        for (uint32_t m = 0; m < y->slices; m++) {
            size_t at = element(c->level[l] + x->place, c->level[m] + y->place);
            high[l + m] += c->high[at];
            low[l + m] += c->low[at];
        }
    int unit = unit_of(x) + unit_of(y);
    for (uint32_t l = 0; l + 1 < x->slices + y->slices; l++) add_parts(high[l], low[l], unit - BITS * (int)l, to);
    for (size_t i = 0; i < c->rests; i++) mr_exact_add_product(to, c->rest[j * c->rests + i], c->rest[k * c->rests + i]);
}

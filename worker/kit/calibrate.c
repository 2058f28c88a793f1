#include "worker/kit/calibrate.h"
#include "worker/kit/columns.h"
#include "worker/kit/linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const mr_calibration_names[] = {"none", "isotonic", "platt", NULL};

/* ---- isotonic ---- */

typedef struct point {
    double score, y;
} point;

static int by_score(const void *x, const void *y) {
    const point *p = x, *q = y;
    if (p->score != q->score) return p->score < q->score ? -1 : 1;
    return (p->y > q->y) - (p->y < q->y);
}

/* A run of scores with one mean. */
typedef struct block {
    double low, high, sum, weight;
} block;

/* Joins equal scores, then blocks whose means fall; returns how many are left. */
static size_t pool(const point *v, size_t n, block *b) {
    size_t count = 0;
    for (size_t i = 0, j; i < n; i = j) {
        block next = {v[i].score, v[i].score, 0, 0};
        for (j = i; j < n && v[j].score == v[i].score; j++) {
            next.sum += v[j].y;
            next.weight++;
        }
        while (count > 0 && b[count - 1].sum * next.weight >= next.sum * b[count - 1].weight) {
            count--;
            next.low = b[count].low;
            next.sum += b[count].sum;
            next.weight += b[count].weight;
        }
        b[count++] = next;
    }
    return count;
}

mr_status mr_isotonic_fit(const double *score, const double *y, size_t n, mr_arena *arena,
                          mr_calibration *out, mr_error *err) {
    point *v = mr_arena_alloc(arena, n, sizeof *v);
    block *b = mr_arena_alloc(arena, n, sizeof *b);
    if (!v || !b) return mr_fail(err, MR_E_MEMORY, "no memory to calibrate on %zu rows", n);
    for (size_t i = 0; i < n; i++) v[i] = (point){score[i], y[i]};
    qsort(v, n, sizeof *v, by_score);
    size_t blocks = pool(v, n, b);
    *out = (mr_calibration){.kind = MR_CALIBRATION_ISOTONIC,
                            .score = mr_arena_alloc(arena, 2 * blocks, sizeof *out->score),
                            .value = mr_arena_alloc(arena, 2 * blocks, sizeof *out->value)};
    if (!out->score || !out->value) return mr_fail(err, MR_E_MEMORY, "no memory for %zu steps", blocks);
    for (size_t k = 0; k < blocks; k++)
        for (int end = 0; end < (b[k].high > b[k].low ? 2 : 1); end++) {
            out->score[out->count] = end ? b[k].high : b[k].low;
            out->value[out->count++] = b[k].sum / b[k].weight;
        }
    return MR_OK;
}

static double on_steps(const mr_calibration *c, double s) {
    size_t low = 0, high = c->count - 1;
    if (s <= c->score[0]) return c->value[0];
    if (s >= c->score[high]) return c->value[high];
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        *(c->score[middle] <= s ? &low : &high) = middle;
    }
    double part = (s - c->score[low]) / (c->score[high] - c->score[low]);
    return c->value[low] + part * (c->value[high] - c->value[low]);
}

/* ---- sigmoid ---- */

typedef struct platt {
    const double *score, *y;
    size_t n;
    double high, low; /* the targets of the two outcomes */
} platt;

static double target(const platt *p, size_t i) { return p->low + p->y[i] * (p->high - p->low); }

static double loss(const platt *p, double a, double b) {
    double sum = 0;
    for (size_t i = 0; i < p->n; i++) {
        double z = a * p->score[i] + b;
        sum += mr_softplus(z) - target(p, i) * z;
    }
    return sum;
}

/* The Newton step of (a, b) in d; returns the size of the gradient. */
static double newton(const platt *p, double a, double b, double d[2]) {
    double ga = 0, gb = 0, haa = 1e-12, hbb = 1e-12, hab = 0;
    for (size_t i = 0; i < p->n; i++) {
        double s = p->score[i], q = mr_sigmoid(a * s + b), g = q - target(p, i), h = q * (1 - q);
        ga += g * s;
        gb += g;
        haa += h * s * s;
        hab += h * s;
        hbb += h;
    }
    double det = haa * hbb - hab * hab;
    d[0] = -(hbb * ga - hab * gb) / det;
    d[1] = -(haa * gb - hab * ga) / det;
    return fmax(fabs(ga), fabs(gb));
}

void mr_platt_fit(const double *score, const double *y, size_t n, mr_calibration *out) {
    enum { STEPS_MAX = 100 };
    double up = 0, a = 0, b, d[2];
    for (size_t i = 0; i < n; i++) up += y[i];
    platt p = {score, y, n, (up + 1) / (up + 2), 1 / ((double)n - up + 2)};
    b = log((up + 1) / ((double)n - up + 1));
    double value = loss(&p, a, b);
    for (int i = 0; i < STEPS_MAX && newton(&p, a, b, d) > 1e-10 * (double)n; i++) {
        double t = 1;
        while (t > 1e-10 && !(loss(&p, a + t * d[0], b + t * d[1]) < value)) t /= 2;
        if (t <= 1e-10) break;
        a += t * d[0];
        b += t * d[1];
        value = loss(&p, a, b);
    }
    *out = (mr_calibration){.kind = MR_CALIBRATION_PLATT, .slope = a, .shift = b};
}

double mr_calibrated(const mr_calibration *c, double score) {
    switch (c->kind) {
    case MR_CALIBRATION_ISOTONIC:
        return on_steps(c, score);
    case MR_CALIBRATION_PLATT:
        return mr_sigmoid(c->slope * score + c->shift);
    case MR_CALIBRATION_NONE:
        break;
    }
    return score;
}

/* ---- bytes ---- */

void mr_calibration_pack(const mr_calibration *c, mr_buf *out) {
    mr_pack_array(out, 6);
    mr_pack_u64(out, c->kind);
    mr_pack_f64(out, c->slope);
    mr_pack_f64(out, c->shift);
    mr_pack_u64(out, c->count);
    mr_pack_doubles(out, c->score, c->count);
    mr_pack_doubles(out, c->value, c->count);
}

mr_status mr_calibration_unpack(mr_calibration *c, mr_arena *arena, mr_unpack *in, mr_error *err) {
    uint32_t parts;
    uint64_t kind, count;
    *c = (mr_calibration){0};
    MR_TRY(mr_unpack_array(in, 6, &parts, err));
    MR_TRY(mr_unpack_u64(in, MR_CALIBRATION_PLATT, &kind, err));
    MR_TRY(mr_unpack_f64(in, &c->slope, err));
    MR_TRY(mr_unpack_f64(in, &c->shift, err));
    MR_TRY(mr_unpack_u64(in, UINT32_MAX, &count, err));
    MR_TRY(mr_unpack_doubles(in, count, arena, &c->score, err));
    MR_TRY(mr_unpack_doubles(in, count, arena, &c->value, err));
    c->kind = (mr_calibration_kind)kind;
    c->count = count;
    if (c->kind == MR_CALIBRATION_ISOTONIC && count == 0)
        return mr_fail(err, MR_E_CORRUPT, "a stored calibration has no steps");
    return MR_OK;
}

/* ---- how right ---- */

mr_reliability mr_reliability_of(const double *p, const double *y, size_t n) {
    mr_reliability r = {.n = n};
    double squares[MR_RELIABILITY_BINS] = {0};
    for (size_t i = 0; i < n; i++) {
        size_t bin = (size_t)fmin(p[i] * MR_RELIABILITY_BINS, MR_RELIABILITY_BINS - 1);
        r.rows[bin]++;
        r.foreseen[bin] += p[i];
        r.seen[bin] += y[i];
        squares[bin] += y[i] * y[i];
        r.brier += (p[i] - y[i]) * (p[i] - y[i]) / (double)n;
    }
    for (size_t k = 0; k < MR_RELIABILITY_BINS; k++) {
        double rows = (double)r.rows[k];
        r.foreseen[k] /= rows; /* 0 / 0: NaN */
        r.seen[k] /= rows;
        if (r.rows[k] == 0) continue;
        double spread = fmax(squares[k] / rows - r.seen[k] * r.seen[k], 0);
        r.ece += rows / (double)n * fabs(r.foreseen[k] - r.seen[k]);
        r.noise += rows / (double)n * sqrt(2 / 3.14159265358979323846 * spread / rows);
    }
    return r;
}

#include "worker/kit/outliers.h"

#include "worker/kit/dist.h"

#include <math.h>
#include <string.h>

/* Does `a` stand further out than `b`, upwards or downwards? */
static bool before(mr_extreme a, mr_extreme b, bool up) {
    if (a.value != b.value) return (a.value > b.value) == up;
    return a.row < b.row;
}

static void insert(mr_extreme *list, uint32_t *count, mr_extreme v, bool up) {
    if (*count == MR_EXTREMES && !before(v, list[MR_EXTREMES - 1], up)) return;
    uint32_t at = *count < MR_EXTREMES ? (*count)++ : MR_EXTREMES - 1;
    for (; at > 0 && before(v, list[at - 1], up); at--) list[at] = list[at - 1];
    list[at] = v;
}

void mr_extremes_add(mr_extremes *e, double value, uint64_t row) {
    mr_exact_term term = mr_exact_split(value);
    e->n++;
    mr_exact_add_term(&e->sum, term);
    mr_exact_add_product(&e->squares, term, term);
    insert(e->low, &e->lows, (mr_extreme){value, row}, false);
    insert(e->high, &e->highs, (mr_extreme){value, row}, true);
}

static void pack_list(const mr_extreme *list, uint32_t count, mr_buf *out) {
    mr_pack_array(out, 2 * count);
    for (uint32_t i = 0; i < count; i++) {
        mr_pack_f64(out, list[i].value);
        mr_pack_u64(out, list[i].row);
    }
}

void mr_extremes_pack(mr_extremes *e, mr_buf *out) {
    mr_pack_u64(out, e->n);
    pack_list(e->low, e->lows, out);
    pack_list(e->high, e->highs, out);
    mr_exact_pack(&e->sum, out);
    mr_exact_pack(&e->squares, out);
}

static mr_status unpack_list(mr_extreme *list, uint32_t *count, bool up, mr_unpack *in, mr_error *err) {
    uint32_t items;
    MR_TRY(mr_unpack_array(in, 2 * MR_EXTREMES, &items, err));
    for (uint32_t i = 0; i < items / 2; i++) {
        mr_extreme v;
        MR_TRY(mr_unpack_f64(in, &v.value, err));
        MR_TRY(mr_unpack_u64(in, UINT64_MAX, &v.row, err));
        if (!isfinite(v.value))
            return mr_fail(err, MR_E_CORRUPT, "an extreme value of a partial is not finite");
        insert(list, count, v, up);
    }
    return items % 2 ? mr_fail(err, MR_E_CORRUPT, "a list of extremes has an odd length") : MR_OK;
}

mr_status mr_extremes_unpack(mr_extremes *e, mr_unpack *in, mr_error *err) {
    uint64_t n;
    MR_TRY(mr_unpack_u64(in, UINT64_MAX >> 8, &n, err));
    MR_TRY(unpack_list(e->low, &e->lows, false, in, err));
    MR_TRY(unpack_list(e->high, &e->highs, true, in, err));
    mr_span rest = {in->at, (size_t)(in->end - in->at)};
    MR_TRY(mr_exact_add_packed(&e->sum, &rest, false, err));
    MR_TRY(mr_exact_add_packed(&e->squares, &rest, true, err));
    in->at = rest.data;
    e->n += n;
    return MR_OK;
}

void mr_extremes_moments(mr_extremes *e, double *mean, double *sd) {
    mr_exact spread;
    double n = (double)e->n;
    *mean = e->n > 0 ? mr_exact_value(&e->sum) / n : NAN;
    mr_exact_comoment(&spread, e->n, &e->squares, &e->sum, &e->sum);
    *sd = e->n > 1 ? sqrt(fmax(0, mr_exact_value(&spread)) / n / (n - 1)) : NAN;
}

static void remove_value(mr_extremes *e, double value) {
    e->n--;
    mr_exact_add(&e->sum, -value);
    mr_exact_add_product(&e->squares, mr_exact_split(-value), mr_exact_split(value));
}

/* For the i-th step (from 0) of n values. */
static double critical_value(double n, double i, double alpha) {
    double t = mr_t_quantile(1 - alpha / (2 * (n - i)), n - i - 2);
    return (n - i - 1) * t / sqrt((n - i - 2 + t * t) * (n - i));
}

size_t mr_generalised_esd(const mr_extremes *e, double alpha, size_t most, mr_outlier *out) {
    enum { ROWS_LEAST = 15 };
    mr_extremes left = *e;
    size_t outliers = 0, low = 0, high = 0;
    if (e->n < ROWS_LEAST) return 0;
    for (size_t i = 0; i < most && i < MR_EXTREMES && i < e->n / 2; i++) {
        double mean, sd;
        mr_extremes_moments(&left, &mean, &sd);
        bool up = e->high[high].value - mean >= mean - e->low[low].value;
        mr_extreme far = up ? e->high[high++] : e->low[low++];
        double distance = sd > 0 ? fabs(far.value - mean) / sd : 0;
        out[i] = (mr_outlier){far, distance, critical_value((double)e->n, (double)i, alpha)};
        if (distance > out[i].critical) outliers = i + 1;
        remove_value(&left, far.value);
    }
    return outliers;
}

double mr_robust_z(double x, double median, double mad) {
    return mad > 0 ? 0.6744897501960817 * (x - median) / mad : NAN;
}

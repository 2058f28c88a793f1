#include "worker/kit/traits.h"

#include <math.h>

static mr_status alloc(mr_traits *t, mr_names names, mr_error *err) {
    if (names.count > MR_TRAITS_MAX)
        return mr_fail(err, MR_E_INVALID,
                       "there are %u feature columns; at most %d can be tested, choose among them",
                       names.count, MR_TRAITS_MAX);
    t->names = names;
    t->of = mr_arena_alloc(t->arena, 2 * (size_t)names.count + 1, sizeof *t->of);
    if (!t->of) return mr_fail(err, MR_E_MEMORY, "no memory for the sums of %u columns", names.count);
    for (uint32_t k = 0; k < 2 * names.count; k++) t->of[k].binary = true;
    return MR_OK;
}

mr_status mr_traits_init(mr_traits *t, mr_arena *arena, mr_names names, mr_error *err) {
    *t = (mr_traits){.arena = arena};
    return alloc(t, names, err);
}

mr_status mr_traits_add(mr_traits *t, const mr_batch *b, uint32_t i, int group, mr_error *err) {
    for (uint32_t j = 0; j < b->width; j++) {
        double v = b->features[(size_t)i * b->width + j];
        mr_trait *of = &t->of[2 * j + (uint32_t)group];
        if (isnan(v)) continue;
        if (!(fabs(v) <= 1e140))
            return mr_fail(
                err, MR_E_INVALID,
                "row %llu, column '%s': the value is infinite or beyond 1e140; mend it or leave the row out",
                (unsigned long long)(b->first + i), b->feature_names[j]);
        mr_exact_term term = mr_exact_split(v);
        of->n++;
        of->binary &= v == 0 || v == 1;
        mr_exact_add_term(&of->sum, term);
        mr_exact_add_product(&of->squares, term, term);
    }
    return MR_OK;
}

void mr_traits_pack(mr_traits *t, mr_buf *out) {
    mr_pack_array(out, 4 + 2 * t->names.count);
    mr_pack_u64(out, t->rows);
    mr_pack_u64(out, t->outcomes[0]);
    mr_pack_u64(out, t->outcomes[1]);
    mr_pack_names(out, t->names);
    for (uint32_t k = 0; k < 2 * t->names.count; k++) mr_pack_u64(out, 2 * t->of[k].n + t->of[k].binary);
    for (uint32_t k = 0; k < 2 * t->names.count; k++) {
        mr_exact_pack(&t->of[k].sum, out);
        mr_exact_pack(&t->of[k].squares, out);
    }
}

static mr_status add_counts(mr_traits *t, mr_unpack *in, mr_error *err) {
    uint64_t v[3];
    uint32_t parts;
    mr_names names;
    MR_TRY(mr_unpack_array(in, 4 + 2 * MR_TRAITS_MAX, &parts, err));
    for (int k = 0; k < 3; k++) MR_TRY(mr_unpack_u64(in, (uint64_t)1 << 40, &v[k], err));
    MR_TRY(mr_unpack_names(in, t->arena, &names, err));
    if (parts != 4 + 2 * (uint64_t)names.count || v[1] > v[0] || v[2] > v[0] - v[1])
        return mr_fail(err, MR_E_CORRUPT, "packed sums of %u columns in %u parts", names.count, parts);
    if (!t->of)
        MR_TRY(alloc(t, names, err));
    else
        MR_TRY(mr_same_names(names, t->names, "the batches before", err));
    t->rows += v[0];
    t->outcomes[0] += v[1];
    t->outcomes[1] += v[2];
    return MR_OK;
}

mr_status mr_traits_add_packed(mr_traits *t, mr_unpack *in, mr_error *err) {
    uint64_t n;
    MR_TRY(add_counts(t, in, err));
    for (uint32_t k = 0; k < 2 * t->names.count; k++) {
        MR_TRY(mr_unpack_u64(in, (uint64_t)1 << 41, &n, err));
        t->of[k].n += n / 2;
        t->of[k].binary &= n % 2 == 1;
    }
    mr_span sums = {in->at, (size_t)(in->end - in->at)};
    for (uint32_t k = 0; k < 2 * t->names.count; k++) {
        MR_TRY(mr_exact_add_packed(&t->of[k].sum, &sums, false, err));
        MR_TRY(mr_exact_add_packed(&t->of[k].squares, &sums, true, err));
    }
    return sums.len ? mr_fail(err, MR_E_CORRUPT, "packed sums: bytes behind the last one") : MR_OK;
}

bool mr_trait_is_binary(mr_traits *t, uint32_t column, mr_fourfold *table) {
    mr_trait *bad = &t->of[2 * column], *good = bad + 1;
    uint64_t bad_ones, good_ones;
    if (!bad->binary || !good->binary || bad->n + good->n == 0) return false;
    double bad_sum = mr_exact_value(&bad->sum), good_sum = mr_exact_value(&good->sum);
    if (!(bad_sum >= 0 && bad_sum <= (double)bad->n && good_sum >= 0 && good_sum <= (double)good->n))
        return false;
    bad_ones = (uint64_t)bad_sum;
    good_ones = (uint64_t)good_sum;
    *table = (mr_fourfold){bad_ones + good_ones, good_ones, bad->n + good->n - bad_ones - good_ones,
                           good->n - good_ones};
    return true;
}

void mr_trait_summaries(mr_traits *t, uint32_t column, mr_summary out[2]) {
    for (uint32_t g = 0; g < 2; g++) {
        mr_trait *of = &t->of[2 * column + g];
        mr_exact comoment;
        double n = (double)of->n;
        mr_exact_comoment(&comoment, of->n, &of->squares, &of->sum, &of->sum);
        out[g] = (mr_summary){of->n, of->n ? mr_exact_value(&of->sum) / n : NAN,
                              of->n > 1 ? mr_exact_value(&comoment) / n / (n - 1) : 0, NAN, NAN};
    }
}

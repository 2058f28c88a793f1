#include "worker/kit/histogram.h"

#include <math.h>

static const uint64_t COUNT_MAX = (uint64_t)1 << 62;

/* Index on one side, 0 for the bin next to zero's; `size` > 0. */
static unsigned side_bin(double size) {
    int exponent;
    double fraction = frexp(size, &exponent); /* [1/2, 1) */
    if (exponent - 1 >= MR_HISTOGRAM_HIGH) return MR_HISTOGRAM_SIDE - 1;
    unsigned sub = (unsigned)((fraction * 2 - 1) * MR_HISTOGRAM_SUB);
    return (unsigned)(exponent - 1 - MR_HISTOGRAM_LOW) * MR_HISTOGRAM_SUB + sub;
}

/* Where a side's bin starts; `index` may be one past the last. */
static double side_edge(unsigned index) {
    int exponent = (int)(index / MR_HISTOGRAM_SUB) + MR_HISTOGRAM_LOW;
    return ldexp(1 + (double)(index % MR_HISTOGRAM_SUB) / MR_HISTOGRAM_SUB, exponent);
}

unsigned mr_histogram_bin(double value) {
    double size = fabs(value);
    if (!(size >= ldexp(1, MR_HISTOGRAM_LOW))) return MR_HISTOGRAM_SIDE;
    unsigned at = side_bin(size);
    return value > 0 ? MR_HISTOGRAM_SIDE + 1 + at : MR_HISTOGRAM_SIDE - 1 - at;
}

double mr_histogram_low(unsigned bin) {
    if (bin > MR_HISTOGRAM_SIDE) return side_edge(bin - MR_HISTOGRAM_SIDE - 1);
    return -side_edge(MR_HISTOGRAM_SIDE - bin);
}

double mr_histogram_high(unsigned bin) {
    if (bin >= MR_HISTOGRAM_SIDE) return side_edge(bin - MR_HISTOGRAM_SIDE);
    return -side_edge(MR_HISTOGRAM_SIDE - 1 - bin);
}

void mr_histogram_add(mr_histogram *h, double value, uint64_t times) {
    h->count[mr_histogram_bin(value)] += times;
}

void mr_histogram_merge(mr_histogram *h, const mr_histogram *other) {
    for (unsigned i = 0; i < MR_HISTOGRAM_BINS; i++) h->count[i] += other->count[i];
}

uint64_t mr_histogram_total(const mr_histogram *h) {
    uint64_t total = 0;
    for (unsigned i = 0; i < MR_HISTOGRAM_BINS; i++) total += h->count[i];
    return total;
}

double mr_histogram_quantile(const mr_histogram *h, double p) {
    uint64_t total = mr_histogram_total(h);
    if (total == 0 || !(p >= 0 && p <= 1)) return NAN;
    double want = p * (double)total, below = 0;
    unsigned last = 0;
    for (unsigned i = 0; i < MR_HISTOGRAM_BINS; i++) {
        if (!h->count[i]) continue;
        double here = (double)h->count[i], low = mr_histogram_low(i);
        if (below + here >= want)
            return i == MR_HISTOGRAM_SIDE ? 0 : low + (want - below) / here * (mr_histogram_high(i) - low);
        below += here;
        last = i;
    }
    return mr_histogram_high(last);
}

void mr_histogram_pack(const mr_histogram *h, mr_buf *out) {
    uint32_t used = 0;
    for (unsigned i = 0; i < MR_HISTOGRAM_BINS; i++) used += h->count[i] != 0;
    mr_pack_array(out, 2 * used);
    for (unsigned i = 0; i < MR_HISTOGRAM_BINS; i++) {
        if (!h->count[i]) continue;
        mr_pack_u64(out, i);
        mr_pack_u64(out, h->count[i]);
    }
}

mr_status mr_histogram_unpack(mr_histogram *h, mr_unpack *in, mr_error *err) {
    uint32_t items;
    MR_TRY(mr_unpack_array(in, 2 * MR_HISTOGRAM_BINS, &items, err));
    if (items % 2)
        return mr_fail(err, MR_E_CORRUPT, "a histogram holds %u numbers, which are not pairs", items);
    uint64_t bin, count, next = 0;
    for (uint32_t i = 0; i < items; i += 2) {
        MR_TRY(mr_unpack_u64(in, MR_HISTOGRAM_BINS - 1, &bin, err));
        MR_TRY(mr_unpack_u64(in, COUNT_MAX, &count, err));
        if (bin < next || count == 0 || count > COUNT_MAX - h->count[bin])
            return mr_fail(err, MR_E_CORRUPT, "pair %u of a histogram is out of order, empty or too large",
                           i / 2);
        h->count[bin] += count;
        next = bin + 1;
    }
    return MR_OK;
}

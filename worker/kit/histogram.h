/* histogram.h: a histogram of integers that merges exactly: the same counts whichever way the rows were cut.
 *
 * Log-linear bins (as in HdrHistogram): each power of two from 2^-10 to 2^20 is cut into 64 equal bins, for
 * positive and for negative values apart, with one bin for what is nearer to zero than 2^-10. So a bin is at
 * most 1/64 of its value wide (1 at 64 to 128, 1/2 at 32 to 64). Values beyond 2^20 go into the outermost
 * bins. */
#ifndef MR_WORKER_KIT_HISTOGRAM_H
#define MR_WORKER_KIT_HISTOGRAM_H

#include "common/pack.h"

enum {
    MR_HISTOGRAM_SUB = 64,
    MR_HISTOGRAM_LOW = -10, /* exponent of the least power of two */
    MR_HISTOGRAM_HIGH = 20,
    MR_HISTOGRAM_SIDE = (MR_HISTOGRAM_HIGH - MR_HISTOGRAM_LOW) * MR_HISTOGRAM_SUB,
    MR_HISTOGRAM_BINS = 2 * MR_HISTOGRAM_SIDE + 1,
    MR_HISTOGRAM_BYTES_MAX = 5 + 12 * MR_HISTOGRAM_BINS /* of the packed form */
};

/* Zeroed is empty. 30 KiB: from an arena, not from the stack. */
typedef struct mr_histogram {
    uint64_t count[MR_HISTOGRAM_BINS];
} mr_histogram;

/* The bin of a finite value, ascending with it; bins hold [low, high), and below zero (low, high]. */
unsigned mr_histogram_bin(double value);
double mr_histogram_low(unsigned bin);
double mr_histogram_high(unsigned bin);

void mr_histogram_add(mr_histogram *h, double value, uint64_t times);
void mr_histogram_merge(mr_histogram *h, const mr_histogram *other);
uint64_t mr_histogram_total(const mr_histogram *h);
/* The value below which the share p of the rows lies, by linear interpolation inside its bin (0 inside the
 * bin around zero); NaN when empty. */
double mr_histogram_quantile(const mr_histogram *h, double p);

/* Packed: an array of bin, count, bin, count, ..., bins ascending, zeros left out: one byte form for one
 * content. */
void mr_histogram_pack(const mr_histogram *h, mr_buf *out);
/* Adds a packed histogram to `h`. Errors: E_CORRUPT for anything mr_histogram_pack would not write, or when a
 * count would pass 2^62. */
mr_status mr_histogram_unpack(mr_histogram *h, mr_unpack *in, mr_error *err) MR_MUST_CHECK;

#endif

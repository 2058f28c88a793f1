/* wide.h: a function compiled twice or thrice, for any processor and for wider registers, where all give the same bits. The body
 * is an always-inlined function over generic vectors; contracted multiply-add is off in the whole build, so width changes
 * nothing but speed. A body is for functions whose registers hold its vectors: elsewhere they go through memory, ten times
 * slower. */
#ifndef MR_KIT_WIDE_H
#define MR_KIT_WIDE_H

/* Two lanes, which every 64-bit processor has; four; eight. Those that are `there` lie in memory and need not be aligned: for
 * loads and stores, which a memcpy would send through the stack. */
typedef double mr_pair __attribute__((vector_size(16)));
typedef double mr_pair_there __attribute__((vector_size(16), aligned(8), may_alias));
typedef double mr_lanes __attribute__((vector_size(32)));
enum { MR_LANES = 4 };
typedef double mr_lanes_there __attribute__((vector_size(32), aligned(8), may_alias));

typedef double mr_wide_lanes __attribute__((vector_size(64)));
typedef double mr_wide_lanes_there __attribute__((vector_size(64), aligned(8), may_alias));

#define MR_WIDE_BODY static inline __attribute__((always_inline)) void
#if defined(__x86_64__)
#define MR_WIDE __attribute__((target("avx2")))
#define MR_WIDE_HERE __builtin_cpu_supports("avx2")
#define MR_WIDEST __attribute__((target("avx512f")))
#define MR_WIDEST_HERE __builtin_cpu_supports("avx512f")
#else
#define MR_WIDE
#define MR_WIDE_HERE 0
#define MR_WIDEST
#define MR_WIDEST_HERE 0
#endif

#endif

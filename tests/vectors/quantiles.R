# Quantiles of t, for tests/component/test_dist.c: SciPy's have only nine digits.
# Made with R 4.2.2:  Rscript tests/vectors/quantiles.R > tests/vectors/quantiles.txt
cat("# made by tests/vectors/quantiles.R with R 4.2.2: function, arguments, value\n")
for (df in c(0.7, 1, 2, 5, 13.37, 60, 1000, 1e6))
    for (p in c(1e-6, 0.01, 0.4, 0.9, 0.995))
        cat("t_quantile", format(c(p, df, qt(p, df)), digits = 17), "\n")

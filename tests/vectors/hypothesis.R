# Shapiro-Wilk, power and detectable difference, for tests/component/test_hypothesis.c.
# Made with R 4.2.2:  Rscript tests/vectors/hypothesis.R
options(digits = 15)
for (n in c(3, 4, 5, 6, 11, 12, 25, 50, 300, 5000)) {
    i <- 1:n
    for (x in list(sqrt(i), log(i) + (i %% 3) / 10)) {
        s <- shapiro.test(x)
        cat(sprintf("{%d, %d, %.15g, %.15g},\n", n, as.integer(x[1] == 1), s$statistic, s$p.value))
    }
}
cat(sprintf("%.12g\n", power.t.test(n = 20, delta = 0.7, strict = TRUE)$power))
cat(sprintf("%.12g\n", power.t.test(n = 20, power = 0.8, strict = TRUE, tol = 1e-13)$delta))
cat(sprintf("%.12g\n", power.t.test(delta = 0.5, power = 0.8, strict = TRUE)$n))

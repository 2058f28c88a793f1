# Makes contingency.txt: Rscript contingency.R > contingency.txt (R 4.2.2, no packages).
# table WITH WITH_SUCCESS WITHOUT WITHOUT_SUCCESS | p of fisher.test | statistic and p of chisq.test without and with
#     correction | odds ratio and Wald interval (95 %, 0.5 added to all cells when one is 0) | Cramer's V | Cohen's d of
#     the trait, failures minus successes, pooled sd
# rows K TOTAL... SUCCESS... | statistic and p of chisq.test
# adjust N P... | p.adjust with bonferroni, holm, BH and BY
options(digits = 17, warn = -1)
show <- function(...) cat(..., "\n", sep = " ")
number <- function(x) formatC(x, digits = 17, format = "g")

one <- function(with, good, without, good2) {
  cells <- matrix(c(good, with - good, good2, without - good2), 2)
  plain <- chisq.test(cells, correct = FALSE)
  yates <- chisq.test(cells, correct = TRUE)
  c4 <- if (any(cells == 0)) cells + 0.5 else cells
  odds <- c4[1, 1] * c4[2, 2] / (c4[2, 1] * c4[1, 2])
  half <- qnorm(0.975) * sqrt(sum(1 / c4))
  bad <- c(rep(1, cells[2, 1]), rep(0, cells[2, 2]))
  fine <- c(rep(1, cells[1, 1]), rep(0, cells[1, 2]))
  pooled <- ((length(bad) - 1) * var(bad) + (length(fine) - 1) * var(fine)) / (length(bad) + length(fine) - 2)
  d <- (mean(bad) - mean(fine)) / sqrt(pooled)
  show("table", with, good, without, good2, number(c(
    fisher.test(cells)$p.value, plain$statistic, plain$p.value, yates$statistic, yates$p.value, odds,
    odds * exp(-half), odds * exp(half), sqrt(plain$statistic / sum(cells)), d)))
}
set.seed(5)
one(4, 3, 4, 1)
one(10, 10, 12, 3)
one(7, 0, 30, 11)
one(100, 60, 9900, 3000)
one(40000, 20400, 60000, 29900)
one(500, 400, 500, 100)
one(3, 1, 2000, 1000)
for (i in 1:20) {
  with <- sample(2:300, 1)
  without <- sample(2:3000, 1)
  good <- rbinom(1, with, runif(1, 0.1, 0.9))
  good2 <- min(without - 1, max(1, rbinom(1, without, runif(1, 0.1, 0.9))))
  one(with, good, without, good2)
}
for (k in c(2, 3, 7)) {
  total <- sample(20:400, k)
  good <- rbinom(k, total, 0.4)
  test <- chisq.test(rbind(good, total - good), correct = FALSE)
  show("rows", k, total, good, number(c(test$statistic, test$p.value)))
}
p <- c(0.01, 0.04, 0.03, 0.2, 0.01, 0.9, 0.0004, 1, 0.05)
show("adjust", length(p), p, number(c(p.adjust(p, "bonferroni"), p.adjust(p, "holm"), p.adjust(p, "BH"), p.adjust(p, "BY"))))

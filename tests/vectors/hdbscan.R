# Makes hdbscan.txt: Rscript hdbscan.R DIRECTORY-WITH-wine.csv-AND-breast_cancer.csv > hdbscan.txt
# (R 4.2, dbscan 1.1-11). hdbscan_blobs.csv: sklearn.datasets.make_blobs of 70, 50, 40 and 30 rows (sd 1, 0.6, 1.4, 0.4;
# random_state 7) and 20 uniform rows without a context, shuffled, rounded to 6 places.
# minPts of that package counts the point itself, so min_samples = minPts - 1.
suppressMessages(library(dbscan))
folder <- commandArgs(trailingOnly = TRUE)[1]
emit <- function(name, file, zscore, settings) {
    X <- read.csv(file, check.names = FALSE)
    X <- unname(as.matrix(X[, seq_len(ncol(X) - 1)]))
    if (zscore) {
        sd_population <- apply(X, 2, function(v) sqrt(mean((v - mean(v))^2)))
        X <- sweep(sweep(X, 2, colMeans(X)), 2, sd_population, "/")
    }
    for (m in settings) {
        fit <- hdbscan(X, minPts = m)
        seen <- unique(fit$cluster[fit$cluster > 0])
        label <- ifelse(fit$cluster == 0, -1, match(fit$cluster, seen) - 1)
        cat(name, as.integer(zscore), m, nrow(X), length(seen), sprintf("%.17g", sum(fit$hc$height)), "\n")
        cat(sprintf("%.17g", fit$cluster_scores[as.character(seen)]), "\n")
        cat(label, "\n")
    }
}
emit("hdbscan_blobs", "hdbscan_blobs.csv", FALSE, c(4, 5, 8, 15))
emit("wine", file.path(folder, "wine.csv"), FALSE, c(5, 10))
emit("wine", file.path(folder, "wine.csv"), TRUE, c(3, 5, 8, 10))
emit("breast_cancer", file.path(folder, "breast_cancer.csv"), FALSE, c(5, 10))
emit("breast_cancer", file.path(folder, "breast_cancer.csv"), TRUE, c(4, 5, 10, 15))

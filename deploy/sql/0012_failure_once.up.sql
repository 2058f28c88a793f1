-- An attempt fails once. A row that is written again, because the answer to its COMMIT was lost, must find the first one even
-- while that is still being committed; only a unique index waits for it.
create unique index attempt_failure_once on millrace.attempt_failure (run_id, attempt);

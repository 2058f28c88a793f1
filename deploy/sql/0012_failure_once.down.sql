drop index millrace.attempt_failure_once;

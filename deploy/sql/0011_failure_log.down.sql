alter table millrace.attempt_failure drop column log;

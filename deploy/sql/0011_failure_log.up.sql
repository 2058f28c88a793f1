-- The end of what a component's process printed before its attempt failed.
alter table millrace.attempt_failure add column log text not null default '' check (length(log) <= 1024);

-- A reopened run keeps only its last end.
drop view millrace.schedule_now, millrace.rule_now, millrace.limit_now, millrace.pause_now, millrace.dead_letter, millrace.run_end;
drop table millrace.schedule_fire, millrace.schedule_end, millrace.schedule, millrace.limit_rule, millrace.pause,
    millrace.dead_letter_end;
delete from millrace.run_ending e using millrace.run_reopen o where o.run_id = e.run_id and o.life > e.life;
drop table millrace.run_reopen;
alter table millrace.run_ending drop constraint run_ending_pkey;
alter table millrace.run_ending drop column life;
alter table millrace.run_ending add constraint run_end_pkey primary key (run_id);
alter table millrace.run_ending rename to run_end;
drop index millrace.attempt_failure_dead, millrace.attempt_failure_batch;
alter table millrace.run drop column priority, drop column submit_key, drop column request_hash;

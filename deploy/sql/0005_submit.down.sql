-- Streams go, with their tasks and what was found for them.
drop function millrace.task_count(bigint), millrace.task_partition_for(bigint);
drop table millrace.task_piece, millrace.task_block, millrace.stream_end;
delete from millrace.run_artifact a using millrace.run r where r.id = a.run_id and r.version_id is null;
delete from millrace.result t using millrace.run r where r.id = t.run_id and r.version_id is null;
delete from millrace.dead_letter_end d using millrace.attempt_failure f, millrace.run r
    where f.id = d.failure_id and r.id = f.run_id and r.version_id is null;
delete from millrace.attempt_failure f using millrace.run r where r.id = f.run_id and r.version_id is null;
delete from millrace.run_reopen o using millrace.run r where r.id = o.run_id and r.version_id is null;
delete from millrace.run_ending e using millrace.run r where r.id = e.run_id and r.version_id is null;
delete from millrace.run_step s using millrace.run r where r.id = s.run_id and r.version_id is null;
delete from millrace.schedule_fire f using millrace.run r where r.id = f.run_id and r.version_id is null;
delete from millrace.run where version_id is null;
alter table millrace.run alter column version_id set not null;

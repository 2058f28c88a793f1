drop view millrace.run_chain;
drop table millrace.run_step_input;
drop index millrace.run_step_component;
alter table millrace.run_step drop column name;

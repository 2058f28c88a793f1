drop view millrace.damage;
drop table millrace.damaged;

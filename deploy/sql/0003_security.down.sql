drop table millrace.audit;
drop function millrace.audit_stays();

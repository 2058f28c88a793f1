drop schema millrace cascade;

alter table millrace.training_prompts
    add constraint training_prompts_ingest_id_fkey foreign key (ingest_id) references millrace.ingest,
    add constraint training_prompts_session_id_fkey foreign key (session_id) references millrace.prompt_sessions;

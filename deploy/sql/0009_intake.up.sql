-- Rows of prompts come in by COPY. What a foreign key would look up for each row (the same ingest 2,000 times, sessions that
-- the same transaction has just read) the intake makes sure of once a call: it locks the ingest's row and takes the ids of
-- sessions from their table. Nothing deletes rows of either table.
alter table millrace.training_prompts
    drop constraint training_prompts_ingest_id_fkey,
    drop constraint training_prompts_session_id_fkey;

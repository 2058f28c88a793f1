create index training_prompts_active on millrace.training_prompts (id) where active;
drop index millrace.training_prompts_inactive;

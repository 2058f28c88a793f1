-- Nearly all prompts are active: an index of them is as large as the primary key, and costs each row that comes in as much.
-- That of the few others is small, and they are counted by it.
create index training_prompts_inactive on millrace.training_prompts (id) where not active;
drop index millrace.training_prompts_active;

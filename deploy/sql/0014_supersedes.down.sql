alter table millrace.training_prompts
    add constraint training_prompts_supersedes_fkey foreign key (supersedes) references millrace.training_prompts;

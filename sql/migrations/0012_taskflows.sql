-- Taskflows: the runs of a flow are workflows whose ids are the flow's, behind the first with `~` and a number.

-- Readers: taskflows/find.sql, list.sql, which look for the newest run. No caller can choose such an id.
create index workflow_names_runs on fencepost.workflow_names (split_part(id, '~', 1)) where strpos(id, '~') > 0;

-- Show a workflow to machines no longer.
-- Takes:   workflow_id; now.
-- Returns: (workflow_id), or none when that was done before.
-- Touches: machine_deletions; reads workflow_names.
insert into fencepost.machine_deletions (workflow_id, at)
values (%(workflow_id)s::text, coalesce(%(now)s::timestamptz, statement_timestamp()))
on conflict (workflow_id) do nothing
returning workflow_id

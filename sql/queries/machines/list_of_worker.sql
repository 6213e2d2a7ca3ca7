-- List the workflows that have actions for a worker: live ones first, then by seq, newest first.
-- Takes:   names text[], the names that a template may use for the worker; live boolean, whether only live workflows;
--          size integer, null for all.
-- Returns: per workflow its seq and its resource row, without deleted ones.
-- Touches: nothing; reads workflow_subjects, workflow_resources, definitions, machine_deletions.
select
    r.seq,
    r.id, r.definition, r.definition_version, r.status, r.label, r.params, r.requester, r.created_at, r.version,
    r.execute_at, r.updated_at, r.outcome, r.reason_type, r.reason_message, r.result, r.error
from (
    select distinct s.workflow_seq
    from fencepost.workflow_subjects as s
    where s.subject = any(%(names)s::text[])
) as s
cross join lateral (
    select r.*
    from fencepost.workflow_resources as r
    -- The view gives every finished workflow this constant status, so Postgres skips that part when only live ones are
    -- wanted.
    where r.seq = s.workflow_seq and (r.status <> 'done' or not %(live)s::boolean)
    offset 0
) as r
where exists (
        select from fencepost.definitions as d
        where d.name = r.definition and d.version = r.definition_version and d.kind = 'machine-template'
    )
    and not exists (select from fencepost.machine_deletions as m where m.workflow_id = r.id)
order by r.status = 'done', r.seq desc
limit %(size)s::integer

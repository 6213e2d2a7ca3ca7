-- List the workflows in which a worker has something to do, or had, the oldest first, without those that were deleted.
-- Takes:   names text[], under which the worker may stand in a template; live boolean, whether only those that live.
-- Returns: per workflow its seq and its resource row.
-- Touches: nothing; reads workflow_subjects, workflow_resources, definitions, machine_deletions.
select
    r.seq,
    r.id, r.definition, r.definition_version, r.status, r.label, r.params, r.requester, r.created_at, r.version,
    r.execute_at, r.updated_at, r.outcome, r.reason_type, r.reason_message, r.result, r.error
from (
    select distinct s.workflow_seq
    from fencepost.workflow_subjects as s
    where s.subject = any(%(names)s::text[])
        and (
            not %(live)s::boolean
            or exists (select from fencepost.live_workflows as w where w.seq = s.workflow_seq)
        )
) as s
cross join lateral (
    select r.* from fencepost.workflow_resources as r where r.seq = s.workflow_seq offset 0
) as r
where r.definition = any(array(select d.name from fencepost.definitions as d where d.kind = 'machine-template'))
    and not exists (select from fencepost.machine_deletions as m where m.workflow_id = r.id)
order by r.seq

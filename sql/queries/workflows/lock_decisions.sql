-- Lock the running tasks of decisions, and find which of their labels are taken.
-- Takes:   calls json: [{call, id, seq, exec_id, labels: [text]}].
-- Returns: per call whose execId is the current one (call, workflow_seq, workflow_id, version, has_result_schema,
--          has_error_schema, has_events, taken): the version of the workflow's definition and which schemas it has,
--          whether events wait, and the labels that are taken, json [[label, digest]].
-- Touches: row locks of live_tasks; reads live_workflows, activities, definitions, workflow_events. Run after lock.sql.
select
    c.call, w.seq as workflow_seq, w.id as workflow_id, l.definition_version as version, d.has_result_schema,
    d.has_error_schema,
    (select count(*) from (select from fencepost.workflow_events as e where e.workflow_seq = w.seq limit 1) as e) > 0
        as has_events,
    (
        select coalesce(json_agg(json_build_array(a.label, a.digest)), '[]')
        from json_array_elements_text(c.labels) as u (label)
        cross join lateral (
            select a.label, a.digest
            from fencepost.activities as a
            where a.workflow_seq = w.seq and a.label = u.label
            offset 0
        ) as a
    ) as taken
from json_to_recordset(%(calls)s::json) as c (call integer, id text, seq bigint, exec_id uuid, labels json)
-- `offset 0` makes the look-up an index probe in every plan, also one made while the table was empty. Locked, because
-- the rest of the transaction relies on this row: a heartbeat must not move it.
cross join lateral (
    select l.workflow_seq, l.definition, l.definition_version
    from fencepost.live_tasks as l
    where l.seq = c.seq and l.id = c.id and l.status = 'in-progress' and l.exec_id = c.exec_id
    offset 0
    for update
) as l
join fencepost.definitions as d on d.name = l.definition and d.version = l.definition_version
cross join lateral (
    select w.seq, w.id from fencepost.live_workflows as w where w.seq = l.workflow_seq offset 0
) as w
order by c.call

-- Save the current values of a people's task, and the versions that they were computed from.
-- Takes:   seq, workflow_seq bigint; new_core_seqs bigint[], the core tasks that were made in this transaction; at, the
--          time of the last event; team, member, status, priority, due_date_time, completion_date_time; exec_id uuid,
--          the execution that the status belongs to; core_version integer, the last log entry of the newest core task.
-- Returns: nothing.
-- Touches: people_tasks. Run after the lock of the workflow.
insert into fencepost.people_tasks as t
    (seq, workflow_seq, core_seqs, replayed_at, bi_assigned_to_team, bi_assigned_to_user, bi_task_status, bi_priority,
     bi_due_date_time, bi_completion_date_time, exec_id, core_version)
values (
    %(seq)s::bigint, %(workflow_seq)s::bigint, array[%(seq)s::bigint] || %(new_core_seqs)s::bigint[],
    %(at)s::timestamptz, %(team)s::text, %(member)s::text,
    %(status)s::text, %(priority)s::text, %(due_date_time)s::timestamptz, %(completion_date_time)s::timestamptz,
    %(exec_id)s::uuid, %(core_version)s::integer
)
on conflict (seq) do update set
    core_seqs = coalesce(nullif(t.core_seqs, '{}'), array[t.seq]) || %(new_core_seqs)s::bigint[],
    replayed_at = excluded.replayed_at,
    bi_assigned_to_team = excluded.bi_assigned_to_team,
    bi_assigned_to_user = excluded.bi_assigned_to_user,
    bi_task_status = excluded.bi_task_status,
    bi_priority = excluded.bi_priority,
    bi_due_date_time = excluded.bi_due_date_time,
    bi_completion_date_time = excluded.bi_completion_date_time,
    exec_id = excluded.exec_id,
    core_version = excluded.core_version

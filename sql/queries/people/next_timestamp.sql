-- Find the time for the next event of a people's task: after all earlier ones, by at least a microsecond.
-- Takes:   task_seq bigint; core_seq bigint, its newest core task; now.
-- Returns: one row (at).
-- Touches: nothing; reads people_events, live_tasks, done_tasks. Run after the lock of the task's workflow.
select greatest(
    coalesce(%(now)s::timestamptz, clock_timestamp()),
    (
        select max(e.event_date_time) + interval '1 microsecond'
        from fencepost.people_events as e
        where e.task_seq = %(task_seq)s::bigint
    ),
    (
        select r.updated_at + interval '1 microsecond'
        from fencepost.task_resources as r
        where r.seq = %(core_seq)s::bigint
    )
) as at

-- Delete a definition that has no live tasks and no live workflows.
-- Takes:   name; now.
-- Returns: one row (version, live): the newest version, null when there is none, and how many live tasks and workflows
--          it has. It was deleted when there is a version and live is 0.
-- Touches: definitions; reads live_tasks, live_workflows. Run after block_task_creation.sql: no task may be created in
--          between.
with newest as (
    select d.version from fencepost.definitions as d where d.name = %(name)s::text and d.is_newest
),
live as (
    select
        (select count(*) from fencepost.live_tasks as l where l.definition = %(name)s::text)
        + (select count(*) from fencepost.live_workflows as w where w.definition = %(name)s::text) as live
),
deleted as (
    update fencepost.definitions as d
    set is_newest = false, deleted_at = coalesce(%(now)s::timestamptz, statement_timestamp())
    where d.name = %(name)s::text and d.is_newest and (select live from live) = 0
)
select (select version from newest) as version, live from live

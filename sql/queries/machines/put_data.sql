-- Keep one more version of a workflow's data, and of older ones than the newest `kept` only the metadata.
-- Takes:   workflow_id; metadata json; data json; kept integer.
-- Returns: one row (version); none when another one was put at the same moment, and this one is to be put again.
-- Touches: machine_data; reads workflow_names.
with newest as (
    select coalesce(max(d.version), 0) + 1 as version
    from fencepost.machine_data as d
    where d.workflow_id = %(workflow_id)s::text
),
put as (
    insert into fencepost.machine_data (workflow_id, version, metadata, data)
    select %(workflow_id)s::text, n.version, %(metadata)s::json, %(data)s::json
    from newest as n
    on conflict (workflow_id, version) do nothing
    returning version
),
emptied as (
    update fencepost.machine_data as d
    set data = null
    from put as p
    where d.workflow_id = %(workflow_id)s::text and d.version <= p.version - %(kept)s::integer and d.data is not null
)
select p.version from put as p

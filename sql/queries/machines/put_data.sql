-- Save a new version of a workflow's data; of versions older than the newest `kept`, keep only the metadata.
-- Takes:   workflow_id; metadata json; data json; kept integer.
-- Returns: one row (version); no row when another version was put at the same moment, so that this put must be
--          repeated, or when the workflow and its history are gone.
-- Touches: machine_data; reads workflow_names.
with newest as (
    select coalesce(max(d.version), 0) + 1 as version
    from fencepost.machine_data as d
    where d.workflow_id = %(workflow_id)s::text
),
put as (
    insert into fencepost.machine_data (workflow_id, version, metadata, data)
    select w.id, n.version, %(metadata)s::json, %(data)s::json
    from newest as n
    cross join fencepost.workflow_names as w
    where w.id = %(workflow_id)s::text
    -- A deletion of the history waits for this lock; if the deletion was first, there is no row.
    for key share of w
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

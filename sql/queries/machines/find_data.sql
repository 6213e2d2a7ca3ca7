-- Find a version of a workflow's data.
-- Takes:   workflow_id; version integer, null for the newest.
-- Returns: (version, metadata, data), or no row.
-- Touches: nothing; reads machine_data.
select d.version, d.metadata, d.data
from fencepost.machine_data as d
where d.workflow_id = %(workflow_id)s::text and (%(version)s::integer is null or d.version = %(version)s::integer)
order by d.version desc
limit 1

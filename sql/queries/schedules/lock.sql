-- Lock a schedule; what changes one goes on behind this, one after the other.
-- Takes:   name.
-- Returns: a row, or none when there is no such schedule.
-- Touches: a row lock of schedules.
select s.name
from fencepost.schedules as s
where s.name = %(name)s::text
for update

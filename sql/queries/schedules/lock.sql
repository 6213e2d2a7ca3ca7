-- Lock a schedule: changes of one schedule happen one after the other.
-- Takes:   name.
-- Returns: one row, or no row when there is no such schedule.
-- Touches: a row lock of schedules.
select s.name
from fencepost.schedules as s
where s.name = %(name)s::text
for update

-- Each day of a user counts for the 28 days from it on, or until the user's next day: so a user counts once on
-- every day, and the users of all 28 days are a running total.
with

user_days as (

    select distinct
        a.user_id,
        a.active_on
    from fct_user_activity as a
    where a.active_on > range_start - 28 and a.active_on < range_end

),

spans as (

    select
        d.active_on as began,
        least(d.active_on + 28, lead(d.active_on) over (partition by d.user_id order by d.active_on)) as ended
    from user_days as d

),

changes as (

    select
        s.began as day,
        1 as users,
        1 as user_days
    from spans as s
    union all
    select
        s.ended,
        -1,
        0
    from spans as s

),

days as (

    select
        c.day,
        sum(c.users)::bigint as users,
        sum(c.user_days)::bigint as user_days
    from changes as c
    group by 1

),

rolling as (

    select
        g.day::date as day,
        (sum(d.users) over (order by g.day))::bigint as users,
        sum(d.user_days) over (order by g.day rows between 27 preceding and current row) as user_days
    from generate_series((range_start - 27)::timestamp, (range_end - 1)::timestamp, '1 day') as g (day)
    left join days as d on d.day = g.day

)

select
    r.day,
    r.user_days::double precision / 28 / r.users,
    r.users
from rolling as r
where r.day >= range_start and r.users > 0
order by 1

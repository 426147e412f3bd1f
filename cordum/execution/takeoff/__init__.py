"""Take-off: the fast path of a worker's jobs. Claimed in batches before the pool, recorded in batches after it.

All of that happens in the worker's main process; the pool's processes and threads run user code and talk to Redis only
when a handler asks. The queues keep Celery's format and kombu still listens to them while there is nothing to do, so
that remote control, wildcards and leaving well need to know nothing of this. What is no plain job of ours goes the way
of Celery's own messages, and with `takeoff: false` everything does.

    step      hangs it into a Celery worker
    pump      the turns: record what has ended, take and claim what there is room for, give it to the pool
    flight    one job on its way: Celery's Request, without what costs time
    crew      a pool's threads, each running flights while there are any
    batch     several short jobs on their way to one process of a prefork pool
    board     what such a process and its parent both see of them
    pace      which topics are short
    in_pool   what the pool runs
"""

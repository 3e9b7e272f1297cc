"""The fleet decides which processes there should be, and what to do about it. It is pure: it is
told events and the time, answers with commands, and does nothing itself.

Reading order: `replica` -> `rollout`, `shutdown` -> `controller` -> `events` -> `backoff`,
`heartbeats`, `links`, `turnover`, `shutdown_waits` -> `autoscaler`.

Responsibilities
================

A *replica* ("worker 2 of pool web") is a process that there shall be; `replica.py` has the life of
the processes that stand for it one after the other. The *fleet* (in the same file) holds all
replicas, and answers questions about two of them, such as which worker is linked to which gateway.
A *rollout* (a reload) and the *shutdown* are policies: they look at the fleet and give orders to
replicas. The *controller* is told every event, hands it to the object that it concerns, and
collects the commands.

  supervisor --event--> controller -> rollout, shutdown --order--> replica --command--> supervisor

The reason for this cut: a policy is about many processes, and simple; a process is one, and its
life is complicated. As long as a reload and a crash both moved processes about, each had to know
all that the other might have left behind. Now a policy gives orders in terms of a replica (replace,
promote, remove), and the replica knows what each means in every state. The *autoscaler* stands
outside: it sees load and no process, and what it decides comes as any `propylon scale` does.

How a process ends
==================

There are four verbs for it, here and in all of the supervisor, and each means one thing:

*drain*: the process finishes what it has, then exits. It is sent SIGTERM and has a deadline, which
    depends on the reason. The app hears `lifespan.shutdown`, and clients see complete responses.
*stop now*: the process exits at once, whatever is under way. The order goes over its channel,
    because a SIGTERM may come from anywhere and means: drain. It is for a second signal, for
    `stop --now`, and for the end of a shutdown's time.
*kill*: the process gets SIGKILL, because its deadline has passed. It was always told to end before.
*remove*: a verb for a replica, not for a process. The replica is not wanted any more, so its
    processes drain and none follows.

A process that ends by itself *exits*; that is an event. A rollout that does not reach its commit is
*aborted*; its processes drain.
"""

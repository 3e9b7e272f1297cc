"""Which processes there should be, and what is to be done about it. Pure: told events and the
time, it answers with commands, and does nothing itself.

Who knows what
==============

A *replica* ("worker 2 of pool web") is a process that there shall be; `replica.py` has what
becomes of the processes that are it in turn, and is the place to begin. The *fleet* (there too)
has all, and answers what concerns two of them: who is linked to whom. A *rollout* (a reload) and
the *shutdown* are policies: they look at the fleet and give replicas orders. The *controller* is
told every event, hands it to whom it concerns, and collects the commands.

  supervisor --event--> controller -> rollout, shutdown --order--> replica --command--> supervisor

Why it is cut like that: a policy is about many processes, and simple; a process is one, and its
life is complicated. As long as a reload and a crash both moved processes about, each had to know
all that the other might have left behind. Now a policy gives orders in terms of a replica
(replace, promote, remove), and whatever state that is in, the replica knows what it means. An
autoscaler would be one more policy, and change nothing in a process's life.

How a process ends
==================

There are four verbs for it, here and in all of the supervisor, and each means one thing:

*drain*: finish what you have, then exit. By SIGTERM; with a deadline, which depends on the
    reason. The app hears `lifespan.shutdown`, clients see complete responses.
*stop now*: exit at once, whatever is under way. Said on the process's channel, since a SIGTERM
    may come from anybody and means: drain. For a second signal, `stop --now`, and when a
    shutdown's time is over.
*kill*: SIGKILL, for one whose deadline has passed. Nobody is killed who was not told before.
*remove*: of a replica, not of a process: it is not wanted any more, so its processes drain and
    none follows.

A process that ends by itself *exits*; that is an event. A rollout that does not come to its
commit is *aborted*; its processes drain.
"""

"""The messages between a supervisor and its children: the third protocol of the house.

The first is HTTP, which clients speak; the second is the link protocol, on which gateways and
workers exchange requests (SPEC.md). This one carries no request. By it the supervisor learns how a
start went, that a process still lives, and what that process asks for; and it gives orders for
which there is no signal.

Who speaks to whom. Every child has a channel: one end of a socket pair, inherited by its number.
There are three kinds of children. A *gateway process* serves clients. A *worker* hosts the app. A
*zygote* (`--preload`) has imported the app and forks workers; such a worker is the zygote's child,
and has a channel to the supervisor of its own. Children send *reports*, the supervisor sends
*orders*. End of file on a channel means that the supervisor has gone and will never end, kill or
replace the process. So the process finishes what is under way and ends by itself.

A channel is a stream of lines. A report is a JSON object whose `event` names it. An order to a
gateway or a worker is one word, perhaps with a number; an order to a zygote is a JSON object whose
`do` names it. Descriptors travel with an order `fork` and a report `forked`, one with the first
byte of each line, in the lines' order.

Reports (child -> supervisor)

    of a gateway process
      Listening       listening                   it accepts. The fleet counts it as ready.
      GatewayAlive    alive                       once a second, from the loop that serves; silence
                                                  for --heartbeat-timeout means that it hangs.
      PoolWorkers     workers   pool, workers     all workers of one pool that it is linked to, when
                                                  that changes: the fleet learns which workers can
                                                  be reached, status shows those of other machines.
      GatewayDraining draining                    it accepts no more: workers may be told to drain.
      StopWaits       waiting   connections,calls while it drains, what the stop waits for; the log
                                                  says it.
      GatewayMetrics  metrics   token, snapshot,  what it has counted, when it is asked and before
                                failed            it ends: the supervisor adds all processes up. And
                                                  the last requests that have failed.
      GatewayFailed   failed    error             it could not start; it is about to exit.
    of a worker
      WorkerReady     ready     pid, app,         its app has started and may be called. The names
                                interface, loop   are for the log's line of the start.
      WorkerFailed    not_ready step, error,      the app could not be started, at which step; it is
                                detail            about to exit. `detail` is the app's traceback.
      Vitals          vitals    rss, calls, ...   once a second, from the loop that runs the app:
                                                  its heartbeat. Status shows them, the fleet
                                                  replaces a worker with calls that are stuck.
      RecycleWish     recycle   why               it has served enough and would be replaced.
    of any child
      LogsReopened    reopened  token, problem    its logs are the new ones, as it was asked to say.
      ProblemsSeen    problems  problems          what is wrong around it, while something is: the
                                                  supervisor logs each once, status shows them.
    of a zygote
      AppLoaded       loaded    pid,app,interface the app is imported: it takes orders to fork.
      WorkerForked    forked    child, pid, pidfd with the descriptor, where the kernel has pidfds.
      ForkFailed      fork_failed child, error
      ForkExited      exited    child, code       as subprocess has it: negative is a signal.
      (WorkerFailed as of a worker, where the import fails)

Orders (supervisor -> child)

      ReopenLogs      reopen                      all: the logs' files were moved away.
      ConfirmLogs     confirm N                   all: report LogsReopened, with the token N, when
                                                  that was done. (An order of its own, since older
                                                  code would not read a `reopen` with a number.)
      ExitNow         now                         gateway, worker: nothing is to be finished. It is
                                                  no second SIGTERM, since one to the whole group
                                                  comes beside the supervisor's own.
      WorkerEnded     ended N                     gateway: the process of worker N (its number as a
                                                  child) has ended. Its links may have no end of
                                                  file: a child that the app forked may hold them.
      CollectMetrics  metrics N                   gateway: report what you have counted. The token N
                                                  comes back, so the answer is known as one.
      ForkWorker      fork      child, settings   zygote: another worker; its channel comes along.
      SignalFork      signal    child, number     zygote: pass a signal on, where there are no
                                                  pidfds.

A report is data, perhaps from a broken or hostile process: an app may write to any descriptor. So a
line that is not a JSON object with an event, or is too long, is ignored. An unknown event, or one
without a field that it needs, becomes `NotUnderstood`, which is logged. A field with a default and
a wrong type counts as absent; an unknown field is ignored. The same rules let two versions talk:
after `propylon upgrade` a new supervisor listens to children of older code, and between the
installation and the upgrade an older supervisor starts children of newer code. Therefore a name on
the wire is never given another meaning, and a new field has a default.

Neither side waits for the other. A message that cannot be written is kept until the socket takes
it, of each kind only the latest. A sign of life is dropped instead: there will be another
(`channel`).

Reading order: `messages` -> `codec` -> `channel` -> `problems`. All pure: `channel` is given
a socket.
"""

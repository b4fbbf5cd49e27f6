"""Work that lasts: a ledger of jobs, a queue, workers, and one guarded child process for each running job.

ledger.py    what is known of jobs, attempts, events and workers: tables of ours
queue.py     the seam to DBOS Transact: enqueue, dequeue on a worker
service.py   what the API asks for: submit, list, cancel, resume
worker.py    `python -m backend.jobs.worker`: runs what the queue gives it, and hands over when it has to stop
attempt.py   one attempt at a job, seen from the worker
guard.py     the process between worker and task: ends the whole tree below it, whatever happens
child.py     the process that computes: `cifs.tasks.TASKS[kind]`
embedded.py  the worker that an API process starts for itself
"""

"""The other sides of a queue under test: its workers', its keeper's and its operator's."""

from jobs.deliveries import Deliveries
from jobs.overview import Overview
from jobs.queue import JobQueue
from jobs.record import Records
from jobs.scripts import Scripts
from jobs.transport import Transport
from jobs.upkeep import Upkeep


def deliveries(queue: JobQueue) -> Deliveries:
    return Deliveries(queue.redis, queue.settings, queue.results)


def upkeep(queue: JobQueue) -> Upkeep:
    return Upkeep(queue.redis, queue.settings, queue.results)


def overview(queue: JobQueue) -> Overview:
    return Overview(queue.redis, queue.settings)


def scripts(queue: JobQueue) -> Scripts:
    return Scripts(queue.redis, queue.settings)


def records(queue: JobQueue) -> Records:
    return Records(scripts(queue))


def transport(queue: JobQueue) -> Transport:
    return Transport(queue.redis, queue.settings)

"""A process of a pool that dies of a document, as of a crash in a library: what tests start instead of the real one."""

import os
import signal

from kogner.bulk import processes
from kogner.bulk.worker import Worker


def work(connection, plan, folder):
    annotated = Worker._annotated

    def dying(self, documents):
        for document in documents:
            if "deadly" in document.text:
                os.kill(os.getpid(), signal.SIGKILL)
            yield from annotated(self, [document])

    Worker._annotated = dying
    processes._work(connection, plan, folder)


def everywhere():
    """Let all pools start it. Ray runs this first in each of its processes."""
    processes._work = work

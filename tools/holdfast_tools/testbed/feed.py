"""exabgp's command process: hands lines from a FIFO to exabgp (our stdout).

It ends as soon as its exabgp is gone: one that lived on would take commands meant for the next run's exabgp.
"""

import os
import select
import sys

parent = os.getppid()
# Opened for reading and writing: never at its end, however often writers come and go.
fifo = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
while os.getppid() == parent:
    if select.select([fifo], [], [], 0.1)[0] and os.getppid() == parent:
        data = os.read(fifo, 65536)
        while data:
            data = data[os.write(1, data) :]

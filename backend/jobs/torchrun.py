"""torchrun for processes of one host: the store at which they meet listens on the loopback alone.

    python -m backend.jobs.torchrun --nproc-per-node N -m MODULE …

Torch's own listens on every interface, and whoever reaches it may read and write what the processes agree on.
"""

import os
import socket
import sys
from typing import Any

from torch import distributed

LOOPBACK = "127.0.0.1"


class LocalStore(distributed.TCPStore):
    def __init__(self, host_name: str, port: int, **options: Any) -> None:
        if options.get("is_master"):
            listening = socket.create_server((LOOPBACK, port))
            port = listening.getsockname()[1]
            options["master_listen_fd"] = listening.detach()
        super().__init__(host_name, port, **options)


def main(arguments: list[str]) -> None:
    distributed.TCPStore = LocalStore  # type: ignore[assignment, misc]  # before torchrun's modules take its name
    from torch.distributed import run

    for library in ("GLOO", "NCCL"):  # which then pass tensors from process to process
        os.environ.setdefault(f"{library}_SOCKET_IFNAME", "lo")
    run.main(["--standalone", "--local-addr", LOOPBACK, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])

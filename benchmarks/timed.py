"""Runs pyinfra's command line and writes what the run itself took, as JSON.

python benchmarks/timed.py RESULT INVENTORY DEPLOY OPTIONS...
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from pyinfra_cli import cli, main

_CONNECT = cli.connect_all
_RESULTS = cli.print_results


def measure(result: Path) -> None:
    """Make pyinfra write the time from connecting until its results, and how much it ran.

    The memory is the most that the process ever had, in MB.
    """
    began = 0.0

    def connect(state: Any) -> None:
        nonlocal began
        began = time.perf_counter()
        _CONNECT(state)

    def results(state: Any) -> None:
        seconds = time.perf_counter() - began
        changed = sum(
            data.operation_meta.did_change()
            for operations in state.ops.values()
            for data in operations.values()
        )
        result.write_text(
            json.dumps(
                {
                    "seconds": seconds,
                    "operations": len(state.get_op_order()),
                    "changed": changed,
                    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                }
            )
        )
        _RESULTS(state)

    cli.connect_all = connect
    cli.print_results = results


if __name__ == "__main__":
    measure(Path(sys.argv.pop(1)).resolve())
    main.main()

"""`voxelsmith`, and `python -m voxelsmith`: the command line, whose libraries take a second to load.

A Ctrl-C in that second ends the process without a word, as it would any program.
"""

import signal

_ASKED = signal.signal(signal.SIGINT, signal.SIG_DFL) if __name__ == "__main__" else None

from voxelsmith.cli import app  # noqa: E402

if __name__ == "__main__":
    signal.signal(signal.SIGINT, _ASKED)
    app(prog_name="voxelsmith")

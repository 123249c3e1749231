"""`hitl`, and `python -m hitl`."""

import sys

from hitl.core.green import patch_where_greenlets_serve


def run() -> None:
    """Run a command of the command line."""
    patch_where_greenlets_serve(sys.argv[1:])
    from hitl.cli import main

    main()


if __name__ == "__main__":
    run()

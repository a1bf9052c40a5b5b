"""`anode`, or `python -m connector`."""

import io
import sys


def main() -> None:
    """Run the command line; the process ends with its exit code."""
    from connector.cli.app import run  # here, so that importing this module costs nothing

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without an arrow shows `?`
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

"""`anode`, or `python -m connector`."""

import sys


def main() -> None:
    """Run the command line; the process ends with its exit code."""
    from connector.cli.app import run  # here, so that importing this module costs nothing

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

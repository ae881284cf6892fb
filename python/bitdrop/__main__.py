"""``python -m bitdrop``: the facts that a bug report should say, or raw mask bits."""

import argparse
import os
import sys

from bitdrop import _stream, show_config


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m bitdrop",
        description="Without a command, print what a bug report should say.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _stream.add_command(commands)
    parser.set_defaults(run=lambda arguments: show_config())
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe. Python would flush the rest at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()

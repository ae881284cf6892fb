"""``python -m bitdrop``: the facts that a bug report should say, or raw mask bits."""

import argparse

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
    arguments.run(arguments)


if __name__ == "__main__":
    main()

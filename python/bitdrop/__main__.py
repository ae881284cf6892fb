"""``python -m bitdrop``: the facts that a bug report should say."""

from bitdrop import show_config

if __name__ == "__main__":
    show_config()

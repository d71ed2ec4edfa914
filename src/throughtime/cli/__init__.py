"""The command line: words in a terminal to calls of the recipes, and mistakes to one line."""

from throughtime.cli.app import app, main

__all__ = ["app", "main"]

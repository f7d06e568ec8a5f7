"""`python -m ecgstream`."""

from ecgstream.cli import main

main()

"""`python -m mcrelu` is the command `mcrelu`."""

from mcrelu.cli import main

if __name__ == "__main__":
    main()

"""`ray job submit ... -- python jobs/sweep.py SPEC --out URI`: mcrelu run on the job's cluster."""

import sys

from mcrelu.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "run")
    main()

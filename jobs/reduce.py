"""`ray job submit ... -- python jobs/reduce.py URI`: tables of an output, beside its shards."""

import sys

from mcrelu.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "reduce")
    main()

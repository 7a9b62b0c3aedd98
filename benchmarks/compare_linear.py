#!/usr/bin/env python3
"""Dense linear scores: opspilot against numpy's float32 ``X @ w``, in turn, one thread each. Prints one JSON object.

compare_linear.py [--quick] [--rows 2000] [--columns 96]   (the package must be installed)
"""

import os

# Before numpy is loaded.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"))

from opspilot._bench.linear import main

if __name__ == "__main__":
    main()

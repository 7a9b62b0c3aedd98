#!/usr/bin/env python3
"""Hashed text: opspilot against scikit-learn's HashingVectorizer, in turn, one thread each. Prints one JSON object.

compare_text.py [--quick] [--megabytes 2]   (needs the extra "demo")
"""

import os

# Before numpy is loaded.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"))

from opspilot._bench.text import main

if __name__ == "__main__":
    main()

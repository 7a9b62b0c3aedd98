#!/usr/bin/env python3
"""TreeSHAP: opspilot against LightGBM's pred_contrib, in turn, one thread each. Prints one JSON object.

compare_shap.py [--quick]   (the package and lightgbm must be installed)
"""

import os

# Before numpy is loaded.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"))

from opspilot._bench.shap import main

if __name__ == "__main__":
    main()

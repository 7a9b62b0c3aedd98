import pickle  # EXPECT banned

from opspilot import cli  # EXPECT python
from opspilot.demo import run  # EXPECT python

from . import _core, demo  # EXPECT python

from opspilot import cli  # EXPECT python
from opspilot.table import x

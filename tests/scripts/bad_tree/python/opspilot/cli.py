from opspilot import table
from opspilot.demo import run
import opspilot

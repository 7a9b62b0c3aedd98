set(opspilot_knows_base "data")  # EXPECT room
set(opspilot_knows_rank base data features)

def broken(:  # EXPECT python

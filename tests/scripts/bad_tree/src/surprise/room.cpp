int nothing;  // EXPECT room

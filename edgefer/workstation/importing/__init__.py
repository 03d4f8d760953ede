"""Networks from other programs, as float flatbuffers."""

"""Networks of other programs as float flatbuffers."""

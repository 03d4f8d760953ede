"""Data formats of FER2013, one module each.

    matches(path) -> bool                           # decide by content, without reading all of it
    cache_key(path) -> str                          # equal for equal content; empty if reading needs no cache
    read(path, *, bad, progress) -> SampleTable     # unusable rows go to ``bad``

A new format is one more module with these three functions.
"""

"""Data formats of FER2013, one module each.

    matches(path) -> bool                           # decide by content, without reading all of it
    is_complete(path) -> bool                       # labels and splits are present
    cache_key(path, *, size) -> str                 # equal for equal content; empty if reading needs no cache
    read(path, *, size, bad, progress) -> SampleTable   # unusable rows go to ``bad``

``size`` is the height and width at which pictures are read. Tables and arrays contain 48 x 48 pixels and ignore it.
A new format is one more module with these four functions.
"""

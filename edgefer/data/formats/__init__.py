"""Data formats, one module each.

    matches(path) -> bool                           # decide by content, without reading all of it
    is_complete(path) -> bool                       # labels and splits are present
    cache_key(path, *, options) -> str              # equal for equal content; empty if reading needs no cache
    read(path, *, options, bad, progress) -> SampleTable    # unusable rows go to ``bad``

``options`` is a ReadOptions with the input of the model, at whose size pictures are read. A new format is one more
module with these four functions. A format that matches any tree of class folders has ``IS_GENERAL = True``, so that
formats of particular data sets precede it, and matches_loosely(path), which is called if no format matches. A format
with numbered classes names them in ``CLASS_NAMES``. A format whose columns --columns may name, other than the tables of
text, has ``HAS_COLUMNS = True``.
"""

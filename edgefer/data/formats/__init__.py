"""The layouts in which FER2013 lies on disks, one file each.

    recognises(path) -> bool                        # by content, without reading it all
    cache_key(path) -> str                          # equal for equal content; "" where reading is as fast as a cache
    read(path, *, bad, progress) -> Rows            # bad rows go into ``bad``, the others are returned

A new layout is one more file with these three.
"""

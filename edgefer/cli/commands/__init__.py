"""Commands of the command line, one module each.

A module's docstring begins with the line that ``edgefer --help`` shows; the module defines ``command``, a click command
or group. A module that always requires edgefer.workstation or edgefer.fleet sets ``NEEDS_WORKSTATION = True``, so that
bundles omit it.
"""

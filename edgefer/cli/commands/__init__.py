"""Commands of the command line, one module each.

A module's docstring begins with the line that ``edgefer --help`` shows; the module defines ``command``, a click command
or group. A module that imports edgefer.workstation or edgefer.fleet for everything it does sets
``NEEDS_WORKSTATION = True``, which keeps it out of a bundle.
"""

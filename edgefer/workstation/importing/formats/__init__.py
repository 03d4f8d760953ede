"""File formats of networks, one module each; see edgefer.workstation.importing.network."""

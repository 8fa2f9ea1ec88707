"""DASH (ISO/IEC 23009-1): the manifest of a version as a pure function of its inventory, and manifests parsed."""

"""Facts about source files: measured, checked against a policy, and refused with a reason."""

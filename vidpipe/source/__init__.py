"""Facts about source files: measured, judged by a policy, and refused with a reason."""

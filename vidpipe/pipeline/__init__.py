"""The main job: the order of the stages, and what decides a run."""

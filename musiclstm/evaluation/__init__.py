"""Judging models and music: likelihood, musical metrics, originality, baselines."""

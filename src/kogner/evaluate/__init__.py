"""Scoring of predictions against gold mentions."""

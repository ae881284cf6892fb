"""Tests of the NumPy front-end: functions, masks, layers, seeds."""

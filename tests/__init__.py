"""Tests of bitdrop: one folder for the engine, one for each front-end, one for the project around them."""

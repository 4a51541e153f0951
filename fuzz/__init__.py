"""Targets of a coverage-guided fuzzer: everything that takes what a user has."""

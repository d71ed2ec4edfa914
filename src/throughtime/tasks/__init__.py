"""Assembling: one file, one runnable recipe."""

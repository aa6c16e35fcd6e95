"""Tests the confinement of containers with a program that runs in one."""

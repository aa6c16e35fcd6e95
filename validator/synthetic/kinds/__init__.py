"""Kinds of synthetic jobs; each is a plug-in that makes jobs and checks their results."""

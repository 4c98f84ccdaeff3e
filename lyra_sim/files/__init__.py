"""Readers and writers of Gaussian files that are not USD."""

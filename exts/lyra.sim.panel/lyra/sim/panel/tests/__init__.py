"""Tests that run inside Kit, with `omni.kit.test`."""

scan_for_test_modules = True

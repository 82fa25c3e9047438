"""Reusable test suites: subclass one to check a part of your own against the package's contracts."""

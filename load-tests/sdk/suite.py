"""Counts checks and says which failed. Knows no SDK."""

import os
import sys
import traceback


class Suite:
    """Named checks, run at once; `finish` prints the count and gives the exit code."""

    def __init__(self, name):
        self.name = name
        self.passed = 0
        self.failed = 0

    def check(self, name, action, *arguments):
        """Runs one check. Anything it raises is a failure with its place."""
        try:
            action(*arguments)
        except Exception as error:  # every failure counts, whatever its class
            self.failed += 1
            line = traceback.extract_tb(error.__traceback__)[-1]
            print(f"FAILED {self.name}: {name}: {type(error).__name__}: {error} ({line.name}:{line.lineno})")
        else:
            self.passed += 1
            print(f"ok     {self.name}: {name}")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.failed == 0 and self.passed > 0 else 1


def equal(found, expected, what):
    if found != expected:
        raise AssertionError(f"{what} is {found!r}, expected {expected!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def raised(error_class, action):
    """The error of exactly this class that `action` raises."""
    try:
        action()
    except error_class as error:
        equal(type(error).__name__, error_class.__name__, "the error's class")
        return error
    raise AssertionError(f"no {error_class.__name__} was raised")


def target():
    """Base URL (it ends in /v1) and key, from two arguments or from BASE_URL and KEY."""
    given = sys.argv[1:3] if len(sys.argv) == 3 else [os.environ.get("BASE_URL"), os.environ.get("KEY")]
    if not all(given):
        sys.exit("usage: smoke.py BASE_URL KEY   (or set BASE_URL and KEY)")
    return given

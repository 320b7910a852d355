"""What every test may use: pytest's own means of testing a plugin."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

pytest_plugins = ["pytester"]

# How long an example takes says something about the machine, and nothing about the code. Where a
# commit is judged, the same examples are drawn each time, so that the verdict is about the commit.
settings.register_profile("ours", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("ours")

# A shell that starts the tests in the background ignores Ctrl-C for them, and a process that they
# start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

"""claude-relay from Python: everything is in `claude_relay.py`, which also works alone."""

from .claude_relay import *
from .claude_relay import __all__ as __all__

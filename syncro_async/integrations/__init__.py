"""Bridges to other people's frameworks, each a module that is imported only by those who use it."""

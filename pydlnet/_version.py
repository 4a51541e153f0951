"""The version, looked up once, when something is first run, saved or asked for it."""

from importlib.metadata import version

VERSION = version("pydlnet")

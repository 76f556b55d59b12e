"""Why a tool's source, or a schema given for it, cannot be used."""

from o.errors import InvalidArgument


class BadSource(InvalidArgument):
    """The source of a tool, or its schema, is not one that a model can be shown; says where and how to mend it."""

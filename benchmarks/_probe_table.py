"""Tables of the documentation, from the results of the benchmark."""


def tables(results):
    """All tables, as RST."""
    return ""

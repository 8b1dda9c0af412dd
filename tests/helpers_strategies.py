"""The installed strategies, by what they ask of networks."""

from semiseg.registry import installed, load


def works_with_any_network(name):
    """Whether a strategy, with default options, needs no parts of its networks and no targets."""
    cls = load("strategy", name)
    return not (cls.requires or cls.needs.targets or any(role.requires for role in cls.roles(cls.Options())))


WITH_ANY_NETWORK = [entry.name for entry in installed("strategy") if works_with_any_network(entry.name)]

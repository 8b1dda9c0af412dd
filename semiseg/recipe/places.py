"""Where each key of a recipe was written: a line of a file, or an override."""


class Places:
    """Places by key path; a key that was not written is at its nearest parent's place."""

    def __init__(self, root: str = "") -> None:
        self._root = root
        self._places: dict[tuple[str, ...], str] = {}

    def put(self, path: tuple[str, ...], place: str) -> None:
        """A key, and with it all below it, was written here."""
        self._places = {key: old for key, old in self._places.items() if key[: len(path)] != path}
        self._places[path] = place

    def at(self, path: tuple[str, ...]) -> str | None:
        """The place of exactly this path, whose keys may have dots of their own; None where none was noted."""
        return self._places.get(path)

    def where(self, key: str) -> str:
        """The place of a dotted key, such as ``recipes/x.yaml:12``; empty for values that came from Python."""
        path = tuple(key.split(".")) if key else ()
        while path:
            if path in self._places:
                return self._places[path]
            path = path[:-1]
        return self._root

    def without(self, path: tuple[str, ...]) -> "Places":
        """A copy that has forgotten a key: what replaced it came from Python."""
        copy = self.copied()
        copy.put(path, "")
        return copy

    def below(self, key: str) -> "Places":
        """The places of the block at a top key, as keys of their own."""
        inner = Places(self.where(key))
        inner._places = {path[1:]: place for path, place in self._places.items() if len(path) > 1 and path[0] == key}
        return inner

    def copied(self) -> "Places":
        """A copy that can be changed by itself."""
        copy = Places(self._root)
        copy._places = dict(self._places)
        return copy

"""The place where each key of a recipe was written: a line of a file, or an override."""


class Places:
    """Places by key path; a key without a place has that of its nearest parent."""

    def __init__(self, root: str = "") -> None:
        self._root = root
        self._places: dict[tuple[str, ...], str] = {}

    def put(self, path: tuple[str, ...], place: str) -> None:
        """Set the place of a key and of everything below it."""
        self._places = {key: old for key, old in self._places.items() if key[: len(path)] != path}
        self._places[path] = place

    def at(self, path: tuple[str, ...]) -> str | None:
        """Return the place of exactly this path, whose keys may contain dots; None if there is none."""
        return self._places.get(path)

    def where(self, key: str) -> str:
        """Return the place of a dotted key, such as ``recipes/x.yaml:12``; empty for values from Python."""
        path = tuple(key.split(".")) if key else ()
        while path:
            if path in self._places:
                return self._places[path]
            path = path[:-1]
        return self._root

    def without(self, path: tuple[str, ...]) -> "Places":
        """Return a copy without the place of a key whose replacement comes from Python."""
        copy = self.copied()
        copy.put(path, "")
        return copy

    def below(self, key: str) -> "Places":
        """Return the places of the block at a top-level key, relative to that key."""
        inner = Places(self.where(key))
        inner._places = {path[1:]: place for path, place in self._places.items() if len(path) > 1 and path[0] == key}
        return inner

    def copied(self) -> "Places":
        """Return an independent copy."""
        copy = Places(self._root)
        copy._places = dict(self._places)
        return copy

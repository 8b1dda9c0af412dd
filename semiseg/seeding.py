"""Seeds derived from names and numbers, so that each random draw depends only on its purpose."""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that depends on all parts and their order, and is the same on every machine.

    Example: ``derive_seed(recipe.seed, "sample", step, slot)``.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1

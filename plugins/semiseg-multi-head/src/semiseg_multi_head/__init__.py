"""Strategies that add heads, scales or decoders to any backbone with capability ``split`` or ``scales``."""

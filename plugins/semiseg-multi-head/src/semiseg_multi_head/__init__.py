"""Strategies that add heads, scales or decoders to any backbone that is callable in parts."""

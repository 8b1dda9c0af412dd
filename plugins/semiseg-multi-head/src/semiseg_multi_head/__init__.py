"""Strategies that add heads, scales or decoders to any backbone that can be called in parts."""

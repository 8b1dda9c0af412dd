"""Packages for the authors of components, written from templates."""

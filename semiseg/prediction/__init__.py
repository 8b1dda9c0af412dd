"""Prediction of new images with finished runs."""

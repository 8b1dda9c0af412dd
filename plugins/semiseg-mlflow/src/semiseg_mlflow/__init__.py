"""Runs of semiseg in MLflow."""

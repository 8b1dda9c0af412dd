"""Expected Dice in a run: its calibration by validation cases, and its test by test cases."""

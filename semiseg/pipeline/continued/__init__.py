"""What continues a run in another way: for more epochs, or with other predictions and scores of its test cases."""

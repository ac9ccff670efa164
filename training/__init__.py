"""Train a digit classifier and export the weights file that the service reads."""

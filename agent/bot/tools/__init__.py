"""What the model can do in its machine, and the record of what it did."""

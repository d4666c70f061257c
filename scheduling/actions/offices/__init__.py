"""What operators do with offices: create them, submit work to them."""

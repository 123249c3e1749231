"""How fast the product is, beside the floor that the machine sets. One command each: see README.md."""

"""A demo project made of real conversations, to try the product on one's own machine."""

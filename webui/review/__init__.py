"""The pages on which people review: the next item, its form, what they decided before."""
